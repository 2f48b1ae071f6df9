"""How many of the reference's numbers with units an answer keeps."""

import re

from telbench.metrics.contract import metric

QUANTITY = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*(dBm|dB|GHz|MHz|kHz|ms|us|Mbps|Gbps)\b")


def quantities(texts):
    return {pair for text in texts for pair in QUANTITY.findall(text)}


@metric(name="units_kept", family="ngram", range=(0, 1), needs={"references"}, options={"units": "radio"})
def units_kept(sample):
    """Share of the references' numbers with units that the prediction repeats; not applicable when they have none."""
    wanted = quantities(sample.references)
    return len(wanted & quantities([sample.prediction])) / len(wanted) if wanted else None
