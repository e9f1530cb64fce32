"""Configuration: frozen models, read from TOML, environment and flags.

Flags win over `AIOS_*` variables, those over `aios.toml` here, that over the user's, that over the defaults. But what
`aios.toml` here may say depends on whether the user trusts it: see aios/project.py.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_config_path, user_state_path
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, HttpUrl, Tag, ValidationError

from aios import project
from aios.project import Project
from aios.regular import RegularFile, read_regular
from aios.toml_file import parse_toml
from aios.trust import TrustRecord, TrustStore
from aios_syscalls import AiosError, BadRequest, Budget, Frozen, NotFound
from aios_syscalls.invalid import explain

MEBIBYTE = 1024 * 1024


class RoutedConfig(Frozen):
    """What the router knows of any model beforehand."""

    quality: float = Field(default=0.5, ge=0, le=1)
    """How good its answers usually are."""
    fallbacks: tuple[str, ...] = ()
    """Models that take over when a call that names this one fails."""


class LocalModelConfig(RoutedConfig):
    """A GGUF file, run by llama.cpp in a worker process of its own."""

    kind: Literal["local"] = "local"
    path: Path
    slots: int = Field(default=8, ge=1, le=256)
    """Generations at once."""
    context: int = Field(default=2048, ge=64)
    """Tokens that one generation may hold, prompt included."""
    embed: bool = False
    """Turn texts into vectors instead of generating: for embedding models, though any model can."""
    requantize: bool = True
    """Make a faster Q8_0 copy of a 4- or 5-bit file, once."""
    mode: Literal["exact", "throughput"] = "exact"
    """In exact mode a reply depends on nothing but its call; throughput trades that for speed: flash attention,
    and answers are kept for the next turn like prompts."""
    memory_mb: int = Field(default=1024, ge=0)
    """For paused generations that were pushed out of the KV cache."""
    disk_mb: int = Field(default=2048, ge=0)
    """For those that were pushed out of memory; where that is 0, nothing comes here either."""
    rss_limit_mb: int | None = Field(default=None, ge=1)
    """Of the worker's memory, above which it is replaced; None is 500 more than it should take."""
    n_gpu_layers: int | None = Field(default=None, ge=0)
    """Layers computed on the GPU; None is all where the engine's build can do that, else none."""


class PriceConfig(Frozen):
    """US dollars for a million tokens: read, written, and read again from the server's cache (None: as all read)."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)


class RemoteModelConfig(RoutedConfig):
    """An endpoint of OpenAI's protocol or Anthropic's; the key is read from the environment variable `api_key_env`."""

    kind: Literal["openai", "anthropic"]
    base_url: HttpUrl
    model: str
    api_key_env: str | None = None
    slots: int = Field(default=8, ge=1)
    timeout_s: float = Field(default=120.0, gt=0)
    extra: dict[str, Any] = {}
    """Fields that are added to each request."""
    omit: tuple[str, ...] | None = None
    """Fields that are left out, such as ["temperature"]; None: those that models of that name are known to refuse."""
    rename: dict[str, str] | None = None
    """Fields that have another name here, such as {max_tokens = "max_completion_tokens"}; None likewise."""
    context: int | None = Field(default=None, ge=64)
    """Tokens that the model holds, if known; the router sends it nothing longer."""
    tools: bool = True
    """Whether the model calls tools; if not, the router sends it no chat with tools."""
    takes: tuple[Literal["image", "file"], ...] = ()
    """What the model takes beside text; the router sends it no chat with anything else."""
    schemas: bool | Literal["json_object"] = True
    """The same of response schemas; `json_object` sends one the way of llama-cpp-python's server."""
    stream: bool = True
    """Whether answers are asked for piece by piece."""
    logprobs: bool = False
    """Whether it is asked how likely its words are, by which a cascade judges."""
    embed: bool = False
    """Turn texts into vectors instead of generating, at base_url/embeddings."""
    resume: Literal["assistant", "continue_final_message"] | None = None
    """How the server goes on with an answer of which it is given the beginning: from an assistant's message at the end
    (llama-server, older Anthropic models), or with that flag as well (vLLM, SGLang). Then long answers take turns."""
    priority: Literal["high_first", "low_first"] | None = None
    """The order of the servers' field `priority`, if it has one: vLLM's low_first, SGLang's high_first."""
    program_field: str | None = None
    """The field that tells the server which process a call is from, such as `user` or `prompt_cache_key`."""
    local: bool = False
    """Whether it is on this machine, so that calls which may not leave it may go there."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests of a minute, of all agents."""
    tpm: int | None = Field(default=None, ge=1)
    """Tokens of a minute, of all agents."""
    price: PriceConfig | None = None
    """None takes that of `model` in `prices`; a price that is not there either is unknown, not zero."""


def _kind(values: Any) -> Any:
    """A model's kind, `local` if it says nothing."""
    return values.get("kind", "local") if isinstance(values, dict) else getattr(values, "kind", None)


ModelConfig = Annotated[
    Annotated[LocalModelConfig, Tag("local")]
    | Annotated[RemoteModelConfig, Tag("openai")]
    | Annotated[RemoteModelConfig, Tag("anthropic")],
    Discriminator(
        _kind,
        custom_error_type="model_kind",
        custom_error_message=(
            "kind is 'local', for a GGUF file at path, or 'openai' or 'anthropic', for an endpoint at base_url"
        ),
    ),
]


def _memory(value: Any) -> Any:
    """What a memory can be, so that what is none of it is told once."""
    if value in ("auto", "unlimited"):
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no memory for contexts; give tokens, 1 or more, auto, or unlimited")
    return value


Tokens = Annotated[int | Literal["auto", "unlimited"], BeforeValidator(_memory)]
"""Of contexts; `auto` is what a local model keeps in its KV cache, in memory and on disk, and no bound for others."""


def _tokens(value: Any) -> Any:
    """What a slice can be, so that what is neither is told once and not for each of both."""
    if value == "auto":
        return value
    try:
        tokens = int(value) if isinstance(value, str) else value
    except ValueError:
        tokens = None
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise ValueError(f"{value!r} is no length of a slice; give tokens, 1 or more, or auto")
    return tokens


Slice = Annotated[int | Literal["auto"], BeforeValidator(_tokens)]
"""Tokens, or `auto`: by what a switch costs, as aios/scheduler/quantum.py measures it."""


class LaneConfig(Frozen):
    """What the lane of one model does otherwise than the others."""

    policy: str | None = None
    slice: Slice | None = None
    memory: Tokens | None = None


class SchedulerConfig(Frozen):
    """The policy of the model lanes; `slice` in tokens, for policies that preempt, or by what a switch costs: auto."""

    policy: str = "gittins"
    slice: Slice = 32
    weights: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    """Shares of tenants, the programs that the user starts, for policies that are fair; 1 where nothing is said."""
    memory: Tokens = "auto"
    """How much there is for the contexts of programs that have begun; others wait until they fit."""
    read_us: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Microseconds that a token of a prompt takes to be read, by which a pause is too long to keep its context; None
    is as measured."""
    remember: bool = True
    """Keep what is learnt of how much programs take, by their names, for later runs."""
    lanes: dict[str, LaneConfig] = {}
    """By the model's name, for lanes that are to have a policy of their own."""


class RouterConfig(Frozen):
    """Who serves a call that names no model; what dollars and seconds are worth in quality, which goes from 0 to 1."""

    strategy: str = "learned"
    """explicit, round_robin, least_wait, cheapest, length, knn, learned or cascade."""
    usd: float = Field(default=5.0, ge=0)
    """What a dollar is worth."""
    second: float = Field(default=0.005, ge=0)
    """What a second is worth."""
    explore: float = Field(default=0.05, ge=0)
    """What a model that is little known may gain by being tried."""
    hedge: bool = False
    """Ask a second model where the first takes longer than it does with nineteen calls of twenty."""
    remember: bool = True
    """Keep what is learnt of answers, with their texts, for later runs."""


class MemoryConfig(Frozen):
    """What the kernel's own consumers of memory may take together; each consumer has a key."""

    models_mb: int | None = Field(default=None, ge=1)
    """For local models in memory at once, which take turns when it is too little for all; None is no cap."""


class JournalConfig(Frozen):
    """The record of all runs."""

    max_mb: int = Field(default=4_096, ge=1)
    """Mebibytes that it may take when a run begins: the oldest runs that have ended are forgotten first."""
    durable: Literal["effects", "all", "off"] = "effects"
    """Which calls wait for the disk before they begin and before they are answered: those with an effect in durable
    runs, every call of every run, or none."""


class LimitsConfig(Frozen):
    """Bounds on what agents may have under way; times in seconds."""

    calls: int = Field(default=10_000, ge=1)
    calls_per_process: int = Field(default=64, ge=1)
    processes: int = Field(default=1_000, ge=1)
    ended: int = Field(default=1_000, ge=1)
    """Ended processes that can still be waited for."""
    mailbox: int = Field(default=1_000, ge=1)
    deadline_s: float = Field(default=600.0, gt=0)
    agent_time_limit_s: float = Field(default=3_600.0, gt=0)


def _below(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts:
        raise ValueError(f"{path!r} is no directory below the root; give its path from there, without ..")
    return "/".join(parts)


Below = Annotated[str, AfterValidator(_below)]


def _executed(value: object) -> object:
    """Raises ValueError for what allows nothing, or all by accident: `"false"` is no false."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(f'{value!r} allows no names; give a list such as ["Makefile", "AGENTS.md"], or true for all')
    from aios_storage import check_executed  # not for those who only ask for help

    for name in value:
        if wrong := check_executed(name):
            raise ValueError(wrong)
    return value


class FilesConfig(Frozen):
    """How files are kept and found."""

    embedder: str | None = None
    """What embeds: `granite:PATH`, `openai:URL#MODEL` (its key in OPENAI_API_KEY), or `none`; None is the one that
    set-up fetches."""
    private: dict[str, Below] = {}
    """The directory, below the root, that a program has for itself: nobody else sees what is in there."""
    homes: Below | None = None
    """A directory, below the root, in which each process has one for itself, named PROGRAM-PID."""
    allow_executed: Annotated[bool | tuple[str, ...], BeforeValidator(_executed)] = False
    """Names that get executed, such as Makefile, which agents may write all the same; true for all such names."""


Level = Literal["auto", "exec", "off"]


class WallConfig(Frozen):
    """The wall around agents: auto for none but their own files, exec for starting programs too, off for none."""

    level: Level | None = None
    """None is auto, where the machine has all of it; programs from elsewhere than the user's directories do not start
    where it has not."""
    programs: dict[str, Level] = {}
    """By a program's name, or its path."""


def _address(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d{1,5}", value):
        raise ValueError(f"{value!r} is no address of this machine's own; give one as 127.0.0.1:8417")
    return value


class DaemonConfig(Frozen):
    """Where and how the daemon serves clients of OpenAI's and Anthropic's protocols."""

    tcp: Annotated[str | None, AfterValidator(_address)] = None
    """The loopback address at which it listens from the start, such as 127.0.0.1:8417; None: some port, when `aios
    exec` or `aios token` ask for one."""
    strict: bool = False
    """Refuse a request with a picture or a file that the model cannot take, instead of leaving it out."""


class Config(Frozen):
    """Everything that decides how a kernel is put together."""

    models: dict[str, ModelConfig] = {}
    """By name; empty means the bundled SmolLM2."""
    model: str | None = None
    """The model that calls without one go to; None lets the router choose."""
    aliases: dict[str, str] = {}
    """Names under which clients of the daemon may ask for a model, such as {"gpt-5" = "smollm2-135m"}."""
    daemon: DaemonConfig = DaemonConfig()
    router: RouterConfig = RouterConfig()
    prices: dict[str, PriceConfig] = {}
    """Of remote models that have none of their own, by the server's name for them."""
    scheduler: SchedulerConfig = SchedulerConfig()
    memory: MemoryConfig = MemoryConfig()
    journal: JournalConfig = JournalConfig()
    limits: LimitsConfig = LimitsConfig()
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds after which a run's processes are ended; None lets it take as long as it needs."""
    budget: Budget = Budget()
    """What all processes of a run may use together."""
    budgets: dict[str, Budget] = {}
    """What each process of a program may use, with all that it starts."""
    files: FilesConfig = FilesConfig()
    root: Path = Path(".")
    """The directory that file syscalls are confined to."""
    tools: tuple[Path, ...] = ()
    """Python files whose `@tool` functions are added to the built-in ones."""
    tool_sha256: dict[str, str] = {}
    """By a path of `tools`: what its SHA-256 has to be, in hexadecimal; a file with another is not run."""
    agents: tuple[Path, ...] = ()
    """Directories of agent programs, before the default ones."""
    read_only: tuple[Path, ...] = ()
    """What agents may not change though it lies in the root, beside what a configuration is made of."""
    isolate: bool = True
    """Run each agent in a process of its own."""
    wall: WallConfig = WallConfig()
    seed: int | None = None
    """Of the randomness behind sampled calls that name no seed; None takes the machine's."""

    def price(self, model: ModelConfig) -> PriceConfig | None:
        """What a model costs: its own price or that of the table, nothing for a local one; None where nobody knows."""
        if isinstance(model, LocalModelConfig):
            return PriceConfig(input=0, output=0)
        return model.price or self.prices.get(model.model)


def home(kind: Literal["config", "state", "cache"]) -> Path:
    """Where aios keeps things of a kind: XDG's place, or below `AIOS_HOME` when that is set."""
    if base := os.environ.get("AIOS_HOME"):
        return Path(base).expanduser().absolute() / kind
    return {"config": user_config_path, "state": user_state_path, "cache": user_cache_path}[kind]("aios")


def runs_directory() -> Path:
    """One directory a run: its agents' output, its files."""
    return home("state") / "runs"


def journal_path(directory: Path | None = None) -> Path:
    """The record of all runs; of one whose directory is not among those of `runs_directory`, in there."""
    at_home = directory is None or directory.absolute().parent == runs_directory()
    return (home("state") if at_home or directory is None else directory) / "journal.db"


def new_run_directory() -> Path:
    """Where a run that begins now goes, not made yet; its name is the run's id, and names sort by time."""
    return runs_directory() / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration in force, and the directory's file as far as it is not."""

    config: Config
    project: Project = field(default_factory=Project)


def load(flags: Mapping[str, Any] | None = None, path: Path | None = None) -> Config:
    """As `read`, without what is left out."""
    return read(flags, path).config


def read(flags: Mapping[str, Any] | None = None, path: Path | None = None) -> Loaded:
    """The configuration in force: by `path` and no other file, where it is given.

    The working directory's file is never an error unless it is trusted: what it says is left out. Raises BadRequest,
    naming the source and the field, or NotFound.
    """
    low = _own_file(path) if path else _own_file(user_file()) if os.path.lexists(user_file()) else {}
    high = _merge(_environment(), flags or {})
    found = Project()
    if path is None:
        low, found = _with_directory(low, high)
    merged = _merge(low, high)
    merged["read_only"] = [*merged.get("read_only", ()), *([path] if path else [])]
    return Loaded(check_values(merged, "the command line"), found)  # the others were checked one by one


def user_file() -> Path:
    """The user's own configuration, which need not be there."""
    return home("config") / "config.toml"


def trust_store() -> TrustStore:
    """What this user trusts."""
    return TrustStore(home("state"))


def _file(path: Path) -> dict[str, Any]:
    """The values of a file that the user names. Raises BadRequest or NotFound."""
    try:
        data = read_regular(path).data
    except NotFound:
        raise NotFound(f"there is no configuration file {path}; check the path, or leave it out") from None
    return _checked(parse_toml(data, str(path)), str(path))


def _own_file(path: Path) -> dict[str, Any]:
    """The values of a file of the user's; what it names as code, a model or an embedder lies where it does.

    From wherever aios is started a relative path would lead to what somebody planted there.
    """
    values = _file(path)
    for name in ("tools", "agents"):
        if name in values:
            values[name] = [_beside(path, each) for each in values[name]]
    if "tool_sha256" in values:
        values["tool_sha256"] = {_beside(path, each): sha256 for each, sha256 in values["tool_sha256"].items()}
    for model in values.get("models", {}).values():
        if "path" in model:
            model["path"] = _beside(path, model["path"])
    kind, _, embedder = str(values.get("files", {}).get("embedder", "")).partition(":")
    if kind == "granite":
        values["files"]["embedder"] = f"granite:{_beside(path, embedder)}"
    return values


def _beside(file: Path, path: str) -> str:
    return str(file.absolute().parent / Path(path).expanduser())


def _with_directory(values: dict[str, Any], high: Mapping[str, Any]) -> tuple[dict[str, Any], Project]:
    """The user's values with what the working directory's file says, and what of that is left out."""
    path = Path(project.NAME)
    if not os.path.lexists(path):
        return values, Project()
    try:
        found = read_regular(path, follow=False)
    except AiosError as error:
        return values, Project(path, why=error.message)
    record = trust_store().record_of(found.path)
    why = _distrust(found, record)
    if record is not None and not why:
        own = _checked(parse_toml(found.data, str(path)), str(path))
        return _merge(values, {**own, "tool_sha256": {**own.get("tool_sha256", {}), **record.tools}}), Project(path)
    try:
        return _tightened(values, high, parse_toml(found.data, str(path)), Project(path, why=why))
    except BadRequest as error:
        return values, Project(path, why=error.message)


def _distrust(found: RegularFile, record: TrustRecord | None) -> str:
    """Why a directory's file is not trusted; empty where it is."""
    if record is None:
        return f"{project.NAME} here is not trusted"
    if record.sha256 != found.sha256:
        return f"{project.NAME} here has changed since you trusted it"
    for tool, sha256 in record.tools.items():
        try:
            same = read_regular(found.path.parent / tool).sha256 == sha256
        except AiosError:
            same = False
        if not same:
            return f"{tool}, which {project.NAME} here names, has changed since you trusted it"
    return ""


def _tightened(
    values: dict[str, Any], high: Mapping[str, Any], said: dict[str, Any], found: Project
) -> tuple[dict[str, Any], Project]:
    """What a file that is not trusted may change. Raises BadRequest where that part of it is malformed."""
    allowed, left_out = project.split(said)
    checked = check_values(allowed, str(found.path)).model_dump(exclude_unset=True)
    before = check_values(values, "the configuration")
    result = project.tightened(values, before.model_dump(), checked)
    private = checked.get("files", {}).get("private", {})
    if private:
        taken, homes = before.files.private, before.files.homes
        root = Path(high.get("root") or before.root)
        added, refused = project.private_additions(private, taken, homes, root)
        result["files"] = {**result.get("files", {}), "private": {**taken, **added}}
        if refused:
            clashes = {f"private.{name}": where for name, where in refused.items()}
            left_out = {**left_out, "files": {**left_out.get("files", {}), **clashes}}
    if wall := checked.get("wall"):
        kept, refused = project.stricter_walls(wall, before.wall.level, before.wall.programs)
        mine = result.get("wall", {})
        result["wall"] = {**mine, **kept, "programs": {**mine.get("programs", {}), **kept.get("programs", {})}}
        left_out = {**left_out, "wall": refused} if refused else left_out
    return result, Project(found.path, left_out, found.why if left_out else "")


def check_values(values: Mapping[str, Any], source: str) -> Config:
    """What the values of one source make alone. Raises BadRequest that names the source and the field."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise _explain(error, source) from None


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    check_values(values, source)
    return values


def _explain(error: ValidationError, source: str) -> BadRequest:
    """What is wrong in a source, in words for who wrote it."""
    fault, found = error.errors(include_url=False, include_input=False)[0], explain(error, source)
    if fault["type"] != "extra_forbidden":
        return BadRequest(f"{found.message}; mend it", found.field)
    near = difflib.get_close_matches(str(fault["loc"][-1]), _NAMES, 1)
    hint = f"did you mean {near[0]}?" if near else "take it out"
    return BadRequest(f"{source}: there is no setting {found.field}; {hint}", found.field)


_SECTIONS = (
    Config,
    SchedulerConfig,
    MemoryConfig,
    LimitsConfig,
    Budget,
    FilesConfig,
    WallConfig,
    LocalModelConfig,
    RemoteModelConfig,
    RouterConfig,
    PriceConfig,
)
_NAMES = [name for section in _SECTIONS for name in section.model_fields]


def _environment() -> dict[str, Any]:
    """`AIOS_SCHEDULER`, `AIOS_SLICE`, `AIOS_MODEL`, `AIOS_ROOT`."""
    found: dict[str, Any] = {}
    for variable, keys in {
        "AIOS_SCHEDULER": ("scheduler", "policy"),
        "AIOS_SLICE": ("scheduler", "slice"),
        "AIOS_MODEL": ("model",),
        "AIOS_ROOT": ("root",),
    }.items():
        if value := os.environ.get(variable):
            found = _merge(found, _checked(_nest(keys, value), variable))
    return found


def _nest(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {keys[0]: _nest(keys[1:], value) if keys[1:] else value}


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
