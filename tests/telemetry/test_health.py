from caretree.telemetry.health import Health, HealthReport, HealthState


def test_a_peer_begins_by_starting_and_is_not_ready() -> None:
    health = Health()

    assert health.report == HealthReport(state=HealthState.STARTING, reason="starting")
    assert not health.report.ready


def test_only_a_peer_that_can_commit_is_ready() -> None:
    ready = {state for state in HealthState if HealthReport(state=state, reason="").ready}

    assert ready == {HealthState.CAN_COMMIT}


def test_a_listener_hears_the_state_and_each_change_once() -> None:
    health = Health()
    heard: list[str] = []
    health.subscribe(lambda report: heard.append(report.reason))

    health.change(HealthState.CAN_COMMIT, reason="a majority is heard")
    health.change(HealthState.CAN_COMMIT, reason="a majority is heard")
    health.change(HealthState.CANNOT_COMMIT, reason="alone")

    assert heard == ["starting", "a majority is heard", "alone"]


def test_a_stopping_peer_never_becomes_ready_again() -> None:
    health = Health()
    health.change(HealthState.STOPPING, reason="asked to stop")

    health.change(HealthState.CAN_COMMIT, reason="too late")

    assert health.report.state is HealthState.STOPPING
