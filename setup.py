"""What pyproject.toml cannot say: the folders of the checkout are the subpackages of `softproof`.

A wheel that claimed the import name `kernels` or `verify` would overwrite another package of that
name. Every folder below the three is found: none can be forgotten.
"""

import warnings

from setuptools import find_namespace_packages, setup

FLOORS = ("kernels", "derivations", "verify")

# An editable installation is what a contributor asked for, and needs no warning.
warnings.filterwarnings("ignore", message="Editable installation")

setup(
    package_dir={"softproof": "."},
    packages=[
        f"softproof.{name}"
        for name in find_namespace_packages(
            include=[pattern for floor in FLOORS for pattern in (floor, f"{floor}.*")],
            exclude=["*.__pycache__"],
        )
    ],
    package_data={
        **{f"softproof.{floor}": ["py.typed"] for floor in FLOORS},
        "softproof.verify.data": ["*"],
        "softproof.verify.data.audits": ["*"],
    },
)
