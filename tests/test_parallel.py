import threading
import time

import pytest
import torch

from cascadepose.parallel import map_ahead


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_in_order(workers):
    def slow_at_first(number):
        time.sleep(0.02 / (number + 1))
        return number**2

    assert list(map_ahead(slow_at_first, range(10), workers)) == [(n, n**2) for n in range(10)]
    assert list(map_ahead(slow_at_first, [], workers)) == []


def test_several_at_the_same_time_each_on_one_thread():
    together = threading.Barrier(3, timeout=10)  # breaks unless three calls meet
    before = torch.get_num_threads()

    def meet(_):
        together.wait()
        return torch.get_num_threads()

    assert [threads for _, threads in map_ahead(meet, range(3), 3)] == [1, 1, 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_read_before_a_failure_is_finished(workers):
    def items():
        yield from range(4)
        raise OSError("the file is cut off")

    answers = map_ahead(lambda n: -n, items(), workers)
    assert [next(answers)[1] for _ in range(4)] == [0, -1, -2, -3]
    with pytest.raises(OSError, match="cut off"):
        next(answers)


def test_only_a_few_items_are_read_ahead():
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    answers = map_ahead(lambda n: n, items(), 2)
    next(answers)
    assert len(read) <= 4
    answers.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_of_the_work_come_where_its_answer_would(workers):
    answers = map_ahead(lambda n: 1 // (2 - n), range(4), workers)
    assert [next(answers), next(answers)] == [(0, 0), (1, 1)]
    with pytest.raises(ZeroDivisionError):
        next(answers)
