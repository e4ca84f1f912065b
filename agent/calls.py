"""Several calls of a proposer at the same time, their answers taken in order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def in_order(ask: Callable[[Question], Answer], questions: Sequence[Question], width: int) -> Iterator[Future[Answer]]:
    """Yield the answer to each question, in the order of the questions, with up to `width` calls under way.

    With a width of 1 each call is made in the caller's thread when its answer is asked for, so that an interrupt from
    the keyboard ends it at once. Otherwise the threads are daemons, since a call may take minutes and nobody waits
    for it when the process ends.

    Parameters
    ----------
    ask
        Makes one call; what it raises stands in the future.
    questions
        Each is asked once.
    width
        At most so many calls at the same time.
    """
    asked: list[tuple[Question, Future[Answer]]] = [(question, Future()) for question in questions]
    if width == 1:
        for question, future in asked:
            _answer(ask, question, future)
            yield future
        return
    waiting: queue.SimpleQueue[tuple[Question, Future[Answer]]] = queue.SimpleQueue()
    for entry in asked:
        waiting.put(entry)
    for number in range(min(width, len(asked))):
        threading.Thread(target=_work, args=(ask, waiting), name=f"call-{number}", daemon=True).start()
    yield from (future for _, future in asked)


def _work(ask: Callable[[Question], Answer], waiting: queue.SimpleQueue[tuple[Question, Future[Answer]]]) -> None:
    while True:
        try:
            question, future = waiting.get_nowait()
        except queue.Empty:
            return
        _answer(ask, question, future)


def _answer(ask: Callable[[Question], Answer], question: Question, future: Future[Answer]) -> None:
    try:
        future.set_result(ask(question))
    except Exception as error:  # noqa: BLE001 - the thread ends here; whoever takes the answer gets the error
        future.set_exception(error)
