"""What castpoint wants to reach beside the others: where each goal applies, and whether it is met."""
import dataclasses
from collections.abc import Callable


@dataclasses.dataclass
class Goal:
    text: str
    metric: str
    limit: float
    at_least: bool
    applies: Callable  # (shaped, offload, receivers, loss) -> bool

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


def shaped_to(receivers, losses):
    return lambda shaped, offload, n, loss: shaped and offload == 'off' and n in receivers and loss in losses


GOALS = (
    Goal('0.97 of the link', 'link', 0.97, True, shaped_to((1,), (0,))),
    Goal('0.93 of the link', 'link', 0.93, True, shaped_to((1,), (1,))),
    Goal('2 × the best multicast peer', 'peer', 2.0, True, shaped_to((5,), (0, 1, 5))),
    Goal('3 × the best multicast peer', 'peer', 3.0, True, shaped_to((10, 20), (0, 1, 5))),
    Goal('ahead of HTTPS', 'https', 1.0, True, shaped_to((10, 20), (0, 1, 5))),
    Goal("a third of a peer's sender CPU", 'cpu_sender', 1 / 3, False, shaped_to((1,), (0,))),
    Goal("a peer's receiver CPU", 'cpu_receiver', 1.0, False, shaped_to((1,), (0,))),
    Goal('ahead of HTTPS', 'https', 1.0, True, lambda shaped, offload, n, loss: not shaped and offload == 'on' and n >= 5 and not loss),
)


def judge(shaped, offload, receivers, loss, metrics):
    """What is met and what is missed here; a metric that is None could not be measured."""
    words = []
    for goal in GOALS:
        if goal.applies(shaped, offload, receivers, loss):
            value = metrics[goal.metric]
            state = 'not measured' if value is None else 'met' if goal.met(value) else 'MISSED'
            words.append(f'{goal.text}: {state}')
    return '; '.join(words)
