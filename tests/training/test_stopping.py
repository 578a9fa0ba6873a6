"""Signals: noted at first, obeyed when repeated in earnest."""

import signal
import threading

import pytest

from cascadepose.training import stopping
from cascadepose.training.stopping import Agreement, Interrupts


def test_the_first_signal_is_noted_and_its_echo_ignored():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert interrupts.signum == 0
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.signum == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def listening():
    """Ctrl-C as in a terminal; programs that a shell starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_a_later_signal_acts_as_ever(monkeypatch):
    monkeypatch.setattr(stopping, "ECHO_SECONDS", -1.0)
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.signum == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def body() -> None:
        with Interrupts() as interrupts:
            seen.append((interrupts.signum, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


def test_one_process_agrees_with_itself():
    agreement = Agreement()
    assert agreement.maximum(3, 0) == [3, 0]
    assert agreement.gather("x") == ["x"]
    assert agreement.from_main({"a": 1}) == {"a": 1}
