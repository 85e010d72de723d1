"""Part of stage 3: the models are tried before anything is measured, and a sample of their generations afterwards.

Every command that runs a model asks here in which way it is used; see `rote.soundness`.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata

from rote import runs
from rote.config import AuditConfig
from rote.models import LoadedModel, load_model, model_digest, pick_device
from rote.records import Agreement, Generation, Json, Prompt, Soundness
from rote.runs import Run


class TriedModels:
    """The audited models, each loaded when it is asked for and used as its trial says; one at a time is kept.

    Args:
        models: name → (model, adapter).
        prompts: those that will be measured.
        config: settings.
        run: keeps the trials.
    """

    def __init__(
        self, models: Mapping[str, tuple[str, str]], prompts: Sequence[Prompt], config: AuditConfig, run: Run
    ) -> None:
        self.models = models
        self.prompts = prompts
        self.config = config
        self.run = run
        self._kept: tuple[str, LoadedModel] | None = None
        self._found: dict[str, Soundness] = {}

    def try_all(self, names: Sequence[str] = ()) -> None:
        """Tries the models (all, unless some are named) that have not been tried in this way; the tuned one last.

        Raises:
            ModelError: a model cannot be loaded, or cannot be audited.
        """
        for name in sorted(names or self.models, key=lambda name: name == "tuned"):
            self.found(name)

    def found(self, name: str) -> Soundness:
        """What the trial of a model found; it is made now where it is not up to date."""
        from rote.runs import whole
        from rote.soundness import soundness_sentence

        if name not in self._found:
            artifact, key = runs.SOUNDNESS.format(model=name), self._key(name)
            self.run.make(artifact, whole(lambda: [self._trial(name)]), settings=key, inputs=[runs.PROMPTS])
            (self._found[name],) = self.run.read(artifact, Soundness)
            self.run.echo(soundness_sentence(self._found[name]))
        return self._found[name]

    def get(self, name: str) -> LoadedModel:
        """The model, ready to be used as its trial says."""
        from rote.soundness import as_tried

        found = self.found(name)
        return as_tried(self._loaded(name), found)

    def way(self, name: str) -> dict[str, Json]:
        """What an artifact's key says of the way in which a model is used; nothing where every way is right."""
        found = self.found(name)
        way: dict[str, Json] = {} if found.batching == "any" else {"batching": found.batching}
        way |= {} if found.uses_cache else {"cache": False}
        return way if found.context_tokens is None else {**way, "context_tokens": found.context_tokens}

    def _key(self, name: str) -> dict[str, Json]:
        """Everything that the trial depends on."""
        return {
            "model": model_digest(*self.models[name]),
            "source": list(self.models[name]),  # the notes name it: equal weights may lie elsewhere, beside other files
            "dtype": self.config.model.dtype,
            "device": pick_device(self.config.model.device).type,
            "max_new_tokens": self.config.generation.max_new_tokens,
            "transformers": metadata.version("transformers"),
        }

    def _trial(self, name: str) -> Soundness:
        from rote.passes.scoring import prompt_pass
        from rote.soundness import trial

        model, generation = self._loaded(name), self.config.generation
        passes = [prompt_pass(prompt, model, generation) for prompt in self.prompts]
        return trial(passes, model, name=name, new_tokens=generation.max_new_tokens)

    def _loaded(self, name: str) -> LoadedModel:
        """The model as loaded; another one that is kept makes room first."""
        if self._kept is None or self._kept[0] != name:
            self._kept = None
            source, adapter = self.models[name]
            loaded = load_model(source, adapter=adapter, config=self.config.model)
            self.run.note(device=str(loaded.device))
            self._kept = name, loaded
        return self._kept[1]


def look_at_generations(name: str, tried: TriedModels, config: AuditConfig, run: Run, *, key: dict[str, Json]) -> None:
    """Compares a sample of one model's greedy generations with the pass; nothing for other ways of decoding.

    Raises:
        ModelError: a token that was written is not the pass's first choice.
    """
    from rote.runs import whole
    from rote.soundness import agreement, agreement_sentence, check_agreement

    artifact, texts = runs.AGREEMENTS.format(model=name), runs.GENERATIONS.format(model=name)
    if config.generation.decoding != "greedy" or config.generation.block_verbatim:
        run.discard(artifact)
        return

    def looked() -> list[Agreement]:
        found = agreement(
            run.read(texts, Generation),
            {prompt.id: prompt for prompt in tried.prompts},
            tried.get(name),
            new_tokens=config.generation.max_new_tokens,
            name=name,
        )
        check_agreement(found, tried.get(name).source)
        return [found]

    if run.make(artifact, whole(looked), settings=key, inputs=[runs.PROMPTS, texts]):
        run.echo(agreement_sentence(*run.read(artifact, Agreement)))
