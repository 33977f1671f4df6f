"""What an evaluation measures."""

from dataclasses import dataclass

from model.errors import ParameterError

SWEEP = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True)
class Settings:
    """What to measure.

    alpha: None takes the checkpoint's. ks: of R@k. candidates: K of two-stage rankings;
    those beyond the gallery become the whole gallery. main: the K whose ranking is the
    result (the largest below it where that K is not measured). exhaustive: score every
    pair's tokens; None decides by the number of pairs. alphas: the sweep. int8: tokens as
    a gallery stores them. budget_mb: memory for what ATA needs of the gallery.
    """

    alpha: float | None = None
    ks: tuple[int, ...] = (1, 5, 10, 20, 30, 50)
    candidates: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    main: int = 100
    exhaustive: bool | None = None
    alphas: tuple[float, ...] = SWEEP
    int8: bool = False
    rounds: int = 1000
    level: float = 0.95
    seed: int = 0
    shown: int = 5
    block: int = 64
    batch: int = 16
    workers: int = 2
    budget_mb: int = 2048

    @classmethod
    def quick(cls, **changes: object) -> "Settings":
        """For validation while training: the global feature, and two stages at K = 50."""
        fast: dict[str, object] = {
            "ks": (1, 10), "candidates": (50,), "main": 50, "exhaustive": False,
            "alphas": (), "rounds": 200,
        }  # fmt: skip
        return cls(**{**fast, **changes})  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ParameterError(f"alpha is {self.alpha}; it has to lie in 0..1")
        for name, counts in (("ks", self.ks), ("candidates", self.candidates)):
            if not counts or min(counts) < 1:
                raise ParameterError(f"{name} is {counts}; give whole numbers from 1 up")
        if min(self.block, self.batch, self.workers, self.rounds) < 1:
            raise ParameterError("block, batch, workers and rounds have to be 1 or more")
