"""An engine that answers each question with the question: the floor that any checkpoint should be above."""

from telbench.harness.engines.contract import Completion, EngineInfo, EngineSpec


class Echo:
    def __init__(self, settings):
        self.info = describe(settings)

    def generate(self, requests, sampling):
        for request in requests:
            yield Completion(request.key, request.messages[-1]["content"])

    def log_likelihoods(self, continuations):
        raise NotImplementedError

    def close(self):
        pass


def describe(settings):
    return EngineInfo("echo", "1.0")


# It reads messages, not a checkpoint's token ids; there are no weights by which a cache could know its answers.
ENGINE = EngineSpec("echo", local=False, cacheable=False, describe=describe, open=Echo)
