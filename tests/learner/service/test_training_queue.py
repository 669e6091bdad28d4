"""Steps that wait: who goes together, who is expected back, and who went away."""

from learner.service.requests import TrainingRequest
from learner.service.training_queue import FIRST_ROWS, TrainingQueue


def queue_of(*requests):
    queue = TrainingQueue(64)
    for one in requests:
        queue.add(one)
    return queue


def request(owner, rows=1, learner="learner"):
    return TrainingRequest(learner, (), rows, 0.0, owner)


def owners(passes):
    return [one.owner for requests in passes for one in requests]


def test_each_owner_has_one_step_in_a_pass():
    queue = queue_of(*(request(owner) for owner in "aab"))
    assert owners(queue.take()) == ["a", "b"]
    assert len(queue) == 1
    assert owners(queue.take()) == ["a"]


def test_steps_of_one_learner_follow_each_other_though_nobody_owns_them():
    queue = queue_of(request(None), request(None), request(None, learner="another"))
    assert [len(owners(queue.take())), len(owners(queue.take()))] == [2, 1]


def test_those_of_the_last_pass_are_expected_until_they_are_back_or_nobody_waits_for_them():
    queue = queue_of(request("a"), request("b"), request(None))
    assert not queue.expects_somebody  # nobody has been in a pass
    queue.take()
    queue.add(request("b"))
    assert queue.expects_somebody
    queue.add(request("a"))
    assert not queue.expects_somebody
    queue.take()
    queue.add(request("a"))
    assert queue.expects_somebody
    queue.expect_nobody()
    assert not queue.expects_somebody


def test_a_pass_that_is_full_waits_for_nobody():
    queue = queue_of(request("a"), request("b"))
    queue.take()
    queue.add(request("c", FIRST_ROWS - 1))
    assert queue.expects_somebody
    queue.add(request("d"))
    assert not queue.expects_somebody


def test_who_was_cancelled_is_in_no_pass_and_expected_in_none():
    gone, also_gone, stays = request("gone"), request("also gone"), request("stays")
    queue = queue_of(gone, stays)
    assert gone.future.cancel()
    assert owners(queue.take()) == ["stays"]
    queue.add(request("stays"))
    assert not queue.expects_somebody
    queue.add(also_gone)
    assert also_gone.future.cancel()
    assert owners([queue.take_all()]) == ["stays"]
    assert len(queue) == 0
