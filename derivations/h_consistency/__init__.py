"""H-consistency bounds of comp-sum losses and of their smooth adversarial variants."""
