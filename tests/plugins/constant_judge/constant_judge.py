"""A judge that reads nothing: ``constant:4`` gives every answer a 4. What calibration makes of it is the floor."""

import json

from telbench.errors import InputError
from telbench.judges.chat import ChatReply
from telbench.judges.contract import JudgeIdentity
from telbench.judges.spec import JudgeKind

FORM = "constant:SCORE"


class ConstantJudge:
    def __init__(self, score):
        self.score = score
        # The fingerprint keys the cache of replies: whatever could change a reply belongs into it.
        self.identity = JudgeIdentity(
            name=f"constant-{score}", fingerprint=f"constant 1: {score}", enforced=True, log_probabilities=False
        )

    def ask(self, requests):
        for request in requests:
            verdict = {"reasons": ["Every answer gets this score."], "score": self.score}
            yield ChatReply(request.key, json.dumps(verdict), "stop")

    def close(self):
        pass


def parse(text):
    if text not in {"1", "2", "3", "4", "5"}:
        raise InputError(f"--judge constant:{text} is no score from 1 to 5: write {FORM}")
    return text, None


CONSTANT = JudgeKind("constant", FORM, parse, lambda spec, options: ConstantJudge(int(spec.model)))
