"""A small study of two students, and the graph of what it makes."""

from __future__ import annotations

from telbench.config import read_settings
from telbench.kd.study.graph import Graph, Sources, build_graph
from telbench.kd.study.settings import StudySettings
from telbench.kd.study.sources import Amount, Found

SETTINGS = {
    "name": "small",
    "models": {"student": {"both": "scratch:s"}, "teacher": {"both": "scratch:t"}},
    "scratch": {"s": {"hidden": 32, "heads": 2}, "t": {"hidden": 64}},
    "factors": {"vocabulary": ["same"], "algorithm": ["vanilla_kd", "dskd"], "student_sft": [False]},
    "anchors": [],
}
FOUND = Found(Sources({}, "d" * 64, "e" * 64), Amount(100, 4000, 8000), Amount(10, 400, 800), {}, {})


def small_graph() -> Graph:
    return build_graph(read_settings(StudySettings, SETTINGS, "study"), FOUND.sources)
