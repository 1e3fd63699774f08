"""A program in any language as a subject: it is started, greets, and is asked call after call.

The greeting says which version of the protocol it speaks.  Version 1 has rows of logits with or
without labels, and stands in the docstring of ``program_protocol_1.py``; version 2 has arguments by
name, parameters and derivatives, and stands in that of ``program_protocol_2.py``.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import ARRAY_FORMATS
from ...cases.products import cotangents
from ..subject import (
    NoSuchSubject,
    NotApplicable,
    ProcessDied,
    Subject,
    SubjectError,
    SubjectRaised,
    WrongResult,
)
from . import program_protocol_1, program_protocol_2
from .in_process import FIRST_CALL, LiveSubject, death_limit_reached
from .program_process import GREETING, Conversation, quoted

Array = NDArray[Any]


@dataclass(frozen=True)
class Greeting:
    """What a program says of itself: the version of the protocol, and how it writes numbers."""

    version: int
    encoding: str


GREETINGS = {
    f"softproof {version} {encoding}": Greeting(version, encoding)
    for version in (1, 2)
    for encoding in ("hex", "raw")
}


def is_command(name: str) -> bool:
    """Tell whether a subject's name is a command line.

    It is one if it has a slash or a blank, as no module has.

    Parameters
    ----------
    name
        The name.

    Returns
    -------
    bool
        Whether it is.

    Examples
    --------
    >>> is_command("./softmax"), is_command("julia softmax.jl"), is_command("mine:softmax")
    (True, True, False)
    """
    return re.search(r"[/\s]", name) is not None


def as_subject(command_line: str, definition: str) -> Subject:
    """Make the subject that a command line names.

    Parameters
    ----------
    command_line
        The program with its arguments, as in a shell.
    definition
        The name of the definition that it implements.

    Returns
    -------
    Subject
        One for all formats, of which nothing is declared.

    Raises
    ------
    SubjectError
        If its quotes do not match, or it is empty.

    Examples
    --------
    >>> as_subject("./softmax --fast", "softmax").command
    ('./softmax', '--fast')
    """
    try:
        command = tuple(shlex.split(command_line))
    except ValueError as error:
        raise SubjectError(f"{command_line}: {str(error).lower()}") from None
    if not command:
        raise SubjectError(f"the command {command_line!r} is empty")
    return Subject(command_line, definition, dtypes=tuple(ARRAY_FORMATS), command=command)


class Program(LiveSubject):
    """A program, started at the first call, and again after a death; close it at the end."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._talk: Conversation | None = None
        self._greeting = Greeting(0, "")
        self._called = False
        self._deaths: Counter[type[ProcessDied]] = Counter()
        self._last_death: ProcessDied | None = None

    @property
    def last_death(self) -> ProcessDied | None:
        """How the program last ended in a call."""
        return self._last_death

    @property
    def given_up(self) -> ProcessDied | None:
        """Why the program is not started any more, after too many deaths; else None."""
        return death_limit_reached(self._deaths)

    def load(self) -> None:
        """Start the program and read its greeting.

        NoSuchSubject where there is none, it does not greet, or it speaks a version of the protocol
        that has not the arguments of the definition.
        """
        command = self.subject.command[0]
        if shutil.which(command) is None:
            raise NoSuchSubject(f"{self.subject.id}: no program {command} that can be executed")
        try:
            self._started()
        except WrongResult as fault:
            self.close()
            raise NoSuchSubject(
                f"{self.subject.id}: {fault}; the protocol is described in the docstrings of "
                f"{program_protocol_1.__name__} and {program_protocol_2.__name__}"
            ) from None
        except BaseException:
            self.close()
            raise
        if self._greeting.version == 1 and not self.definition.of_a_row:
            self.close()
            raise NoSuchSubject(
                f"{self.subject.id} speaks version 1 of the protocol, which has logits and labels "
                f"only; for {self.subject.definition} it has to speak version 2, described in the "
                f"docstring of {program_protocol_2.__name__}"
            )

    def _call(
        self,
        logits: Array,
        labels: Array | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[Array]:
        if options:
            raise NotApplicable(f"a program takes no {', '.join(options)}")
        if logits.ndim != 2 or axis not in (None, -1, 1) or layout != "contiguous":
            raise NotApplicable("a program takes rows of classes, contiguous in memory")
        return self._asked(lambda talk: self._ask_rows(talk, logits, labels))

    def _call_with_arguments(
        self, arguments: Sequence[Array], keywords: Mapping[str, Any]
    ) -> list[Array]:
        if keywords["out"] is not None:
            raise NotApplicable("a program takes no buffer for its result")
        if any(layout != "contiguous" for layout in keywords["layouts"]):
            raise NotApplicable("a program takes numbers in their order, whatever the layout")
        longest = max(size for array in arguments for size in (1, *array.shape))
        return self._asked(
            lambda talk: self._ask_by_name(
                talk,
                arguments,
                keywords["parameters"],
                max(keywords["most"], longest),  # of a batch without cases nothing but its shape
                derivatives=bool(keywords["cotangents"]),
            )
        )

    def _ask_rows(self, talk: Conversation, logits: Array, labels: Array | None) -> list[Array]:
        encoding = self._greeting.encoding
        if self._greeting.version == 1:
            talk.say(program_protocol_1.call(self.subject.definition, logits, labels, encoding))
            return program_protocol_1.reply(talk, logits, encoding)
        single = self.definition.elementwise
        arguments = [logits.reshape(-1) if single else logits]
        if labels is not None:
            arguments.append(np.asarray(labels, np.int64))
        most = max(logits.size, *logits.shape)
        (value,) = self._ask_by_name(talk, arguments, {}, most, derivatives=False)
        return [value.reshape(logits.shape) if single and value.size == logits.size else value]

    def _ask_by_name(
        self,
        talk: Conversation,
        arguments: Sequence[Array],
        parameters: Mapping[str, float],
        most: int,
        *,
        derivatives: bool,
    ) -> list[Array]:
        if self._greeting.version == 1:
            raise NotApplicable("a program of version 1 of the protocol takes rows of logits only")
        signature = self.definition.signature
        kinds = {**signature.arguments, **(cotangents(self.definition) if derivatives else {})}
        named = dict(zip(kinds, arguments, strict=True))
        dtype = next(a.dtype for a in arguments if a.dtype.kind not in "biu")
        cases = next((len(named[n]) for n, kind in kinds.items() if not kind.shared), 1)
        header = f"{'vjp' if derivatives else 'call'} {self.subject.definition} {dtype} {cases}"
        talk.say(program_protocol_2.call(header, named, parameters, self._greeting.encoding))
        names = signature.numbers if derivatives else tuple(signature.outputs)
        indices = () if derivatives else tuple(signature.indices)
        return program_protocol_2.reply(talk, names, most, self._greeting.encoding, indices)

    def _asked(self, ask: Callable[[Conversation], list[Array]]) -> list[Array]:
        """What a question gives; a program that broke off the conversation is started again."""
        if (death := self.given_up) is not None:
            raise death
        try:
            talk = self._started()
            limit = self.subject.time_limit
            # A first call may compile.
            talk.expect("its reply", limit if self._called else max(limit, FIRST_CALL))
            self._called = True
            talk.silent()
            return ask(talk)
        except (SubjectRaised, NotApplicable):
            raise  # a reply in good order: the program can be asked again
        except ProcessDied as end:
            self._deaths[type(end)] += 1
            self._last_death = end
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def _started(self) -> Conversation:
        """The conversation, with its greeting heard."""
        if self._talk is None:
            self._talk = Conversation(self.subject.command)
            self._talk.expect(GREETING, max(self.subject.time_limit, FIRST_CALL))
            line = self._talk.line()
            if line not in GREETINGS:
                greetings = " or ".join(map(repr, GREETINGS))
                raise WrongResult(f"its first line is {quoted(line)}, not {greetings}")
            self._greeting = GREETINGS[line]
        return self._talk

    def close(self) -> None:
        """End the program, and all that it started."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None
