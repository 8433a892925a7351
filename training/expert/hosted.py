"""Tune a model at OpenAI, or a server that speaks its protocol: files written and checked, uploaded, the job started and followed.

How far it came stands in job.json after each step, so that whoever is interrupted goes on and pays for nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import GarbledAnswerError, InputError, MissingKeyError, ModelError, SwitchyardError
from core.files import check_unedited, write_json
from core.settings import Settings
from graph.services import Services
from llms.faults import as_model_error
from training.expert.examples import Maker
from training.expert.output import read_json
from training.expert.provider_files import FILES, MANIFEST, Estimate, write_files
from training.expert.recipe import Job

if TYPE_CHECKING:
    from openai import OpenAI

JOB = "job.json"
POLL_S = 10.0
FAULTS = 30
"""So many failures in a row end the following; the job itself goes on."""
_BASE_URL = "https://api.openai.com/v1"
_RUNNING = ("validating_files", "queued", "running", "paused")
_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
T = TypeVar("T")


def prepare(services: Services, job: Job, folder: Path) -> Estimate:
    """Write and check the files of a job that is to come.

    Raises InputError for questions or a folder that cannot be used, and for a train.jsonl or dev.jsonl there that was not made here.
    """
    check_unedited(folder, FILES.values(), MANIFEST)
    recipe, maker = job.recipe, Maker(services, job.expert)
    advance = job.progress("Finding passages", len(job.questions["train"]) + len(job.questions["dev"]))
    train, dev = (maker.learning(job.questions[split], recipe.without, recipe.seed, advance) for split in FILES)
    return write_files(train, dev, folder, recipe.epochs)


class HostedJob:
    """A job at the provider, as far as job.json in `folder` says. `state`: expert, base, ids of the files, of the job, and its model."""

    def __init__(self, settings: Settings, folder: Path, say: Callable[[str], None]) -> None:
        """Raises MissingKeyError when the provider's key is not set."""
        if not settings.key("openai") and "openai" not in settings.base_urls:
            raise MissingKeyError("OPENAI_API_KEY is not set: put it into .env. To see the files without it: --dry-run")
        self._settings, self._folder, self._say = settings, folder, say
        self.state = read_json(folder / JOB)

    def begin(self, *, resume: bool) -> bool:
        """Whether the files are to be made: not where there is a job to go on with. Raises InputError where nobody asked for that."""
        if self.state and resume:
            return False
        if "job" in self.state and "ended" not in self.state:
            raise InputError(
                f"{self.state['job']} in {self._folder} has not ended. Follow it: the same command and --resume; or remove its {JOB}."
            )
        self.state = {}
        return True

    def run(self, job: Job) -> str:
        """Upload, start, follow; the tuned model's name. Raises ModelError, or SwitchyardError when the job failed."""
        client = self._client()
        self._keep(expert=job.expert, base=job.recipe.base)
        for split, file in FILES.items():
            if split not in self.state:
                self._say(f"Uploading {file} ...")
                self._keep(**{split: self._call(partial(self._upload, client, self._folder / file))})
        if "job" not in self.state:
            self._keep(job=self._call(lambda: self._started(client) or self._start(client, job)))
            self._say(f"Started {self.state['job']}. Ctrl-C leaves it running; --resume follows it again.")
        return self._follow(client)

    def _client(self) -> OpenAI:
        from openai import OpenAI

        key = self._settings.key("openai")
        return OpenAI(
            api_key=key.get_secret_value() if key else "no-key-needed",
            base_url=self._settings.base_urls.get("openai", _BASE_URL),
            timeout=self._settings.model_deadline_s,
            max_retries=self._settings.model_retries,
        )

    def _upload(self, client: OpenAI, path: Path) -> str:
        return _text(client.files.create(file=path, purpose="fine-tune", timeout=600), "id")

    def _started(self, client: OpenAI) -> str | None:
        """The job on these very files, where one was started and the answer was lost."""
        jobs = client.fine_tuning.jobs.list(limit=20).data
        return next((_text(job, "id") for job in jobs if job.training_file == self.state["train"]), None)

    def _start(self, client: OpenAI, job: Job) -> str:
        # Not retried: a request that did arrive would start, and bill, a second job.
        started = client.with_options(max_retries=0).fine_tuning.jobs.create(
            model=job.recipe.base,
            training_file=self.state["train"],
            validation_file=self.state["dev"],
            seed=job.recipe.seed,
            suffix=job.expert[:40],
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": job.recipe.epochs}}},
        )
        return _text(started, "id")

    def _follow(self, client: OpenAI) -> str:
        seen: set[str] = set()
        faults = 0
        while True:
            try:
                self._call(partial(self._look, client, seen))
                if "model" in self.state:
                    return str(self.state["model"])
                faults = 0
            except ModelError as error:
                faults += 1
                if not error.retryable or faults >= FAULTS:
                    raise
                self._say(f"{error} Still following.")
            time.sleep(POLL_S)

    def _look(self, client: OpenAI, seen: set[str]) -> None:
        """Say what has happened since the last look, and keep how the job ended. Raises SwitchyardError when it failed."""
        found = client.fine_tuning.jobs.retrieve(self.state["job"])
        status: str = found.status
        for event in reversed(client.fine_tuning.jobs.list_events(self.state["job"], limit=20).data):
            if event.id not in seen:
                seen.add(event.id)
                self._say(event.message)
        if status == "succeeded":
            self._keep(model=_text(found, "fine_tuned_model"), ended=status)
        elif status in _ENDED:
            self._keep(ended=status)
            reason = found.error.message if found.error else "no reason was given"
            raise SwitchyardError(f"The job {self.state['job']} {_ENDED[status]}: {reason}. Mend that, then run the command again.")
        elif status not in _RUNNING:
            raise GarbledAnswerError(f"Expected the status of a job; the provider sent {status!r}.")

    def _call(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except SwitchyardError:
            raise
        except Exception as error:  # of several libraries; what is no fault of the provider's is raised again
            raise as_model_error(error, f"openai:{self.state['base']}", self._settings.keys.values()) from None

    def _keep(self, **known: str) -> None:
        self.state |= known
        write_json(self._folder / JOB, self.state)


def _text(found: Any, name: str) -> str:
    value = getattr(found, name, None)
    if not isinstance(value, str) or not value:
        raise GarbledAnswerError(f"The provider's answer has no {name!r}. Check the base URL, then go on with --resume.")
    return value
