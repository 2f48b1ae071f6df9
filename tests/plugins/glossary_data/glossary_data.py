"""A data set that comes with its package: what abbreviations of the 5G system stand for."""

from telbench.harness.datasets.contract import DatasetSpec, LoadedItems
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.splits import everything_in

WORDS = {
    "AMF": "Access and Mobility Management Function",
    "SMF": "Session Management Function",
    "UPF": "User Plane Function",
}


def load(files, options):
    return LoadedItems(
        tuple(
            Item(f"glossary-{short}", f"What does {short} stand for?", references=(long,), source_document=short)
            for short, long in WORDS.items()
        )
    )


GLOSSARY = DatasetSpec(
    name="glossary",
    summary="abbreviations of the 5G system",
    task="definition",
    folder="",
    files=(),
    licence="CC0-1.0",
    origin="written for this example",
    load=load,
    split_rule=everything_in("test", "too few to divide"),
)
