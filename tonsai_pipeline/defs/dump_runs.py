"""Many dumps in one run: each is brought up to date, told of, and remembered where it fails.

dumps ──begin──▶ build every asset ──▶ materializations, checks ──told──▶ done
                         ├─TonsaiError──▶ the attempt's reason; the next dump goes on
                         └─StorageError, Terminate, Ctrl-C──▶ the run ends, and no dump is to blame

Sensors come again, minutes later, and set a dump aside at its third failure. A run that goes on to the corpus, and
`tonsai run`, set it aside at the first: the same bytes a second later fail in the same way.
"""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

# Dagster raises it in the midst of the work of assets, and exports it nowhere.
from dagster._core.errors import DagsterExecutionInterruptedError
from pydantic import Field

from tonsai_pipeline.catalog.attempts import MAX_ATTEMPTS, Attempt, Attempts
from tonsai_pipeline.defs.corpus.dump_catalog import show_catalog
from tonsai_pipeline.defs.inbox import look_at_inbox
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import RunOptions
from tonsai_pipeline.defs.stage_asset import Made, Pages, as_event, is_good, shown
from tonsai_pipeline.errors import RecipeError, StorageError, TonsaiError
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.missing import DUMP_ASSETS, Missing, find_missing
from tonsai_pipeline.pipeline import CATALOG, open_builder
from tonsai_pipeline.schema import DumpKey

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.AssetObservation

#: What a run meets when a person presses Terminate or Ctrl-C; in a generator, the last one.
_ENDED = (DagsterExecutionInterruptedError, KeyboardInterrupt, GeneratorExit)
#: A run config is no place for more.
_MAX_DUMPS = 10_000


class DumpOptions(RunOptions):
    """The launch form of a run of many dumps."""

    dumps: list[str] = Field(
        default=[],
        max_length=_MAX_DUMPS,
        description="Keys of the dumps to bring up to date; empty for every one that lacks something",
    )
    assets: list[str] = Field(
        default=list(DUMP_ASSETS), max_length=100, description="Assets to make of them"
    )
    once: bool = Field(
        default=False,
        description="One of the runs of `tonsai run`: a dump that fails is set aside at once, not at its third failure, "
        "and the inbox is looked at behind the last run",
    )


class DumpRun:
    """Brings dumps of a recipe up to date; a dump that fails does not keep the others from it.

    Args:
        graph: The recipe and its place.
        pages: What people see of the assets, with their checks.
        options: The launch form.
    """

    def __init__(self, graph: Graph, pages: Pages, options: RunOptions) -> None:
        self._graph = graph
        self._pages = pages
        self._options = options
        self._attempts = Attempts(graph.store.layout.attempts, graph.recipe)
        #: Attempts of this run that failed, by dump.
        self.failed: dict[DumpKey, Attempt] = {}

    def missing(self, builder: Builder, assets: Iterable[str] = DUMP_ASSETS) -> Missing:
        """Return what is missing of the dumps of a builder."""
        return find_missing(
            builder,
            chosen=assets,
            is_good=lambda *found: is_good(self._pages, *found),
        )

    def bring(
        self,
        builder: Builder,
        dumps: Iterable[DumpKey],
        assets: Sequence[str] = DUMP_ASSETS,
        *,
        once: bool = False,
    ) -> Iterator[Event]:
        """Try every dump; yield what to tell Dagster.

        Args:
            builder: The recipe and its dumps.
            dumps: The dumps to try.
            assets: What to make of each.
            once: Whether a dump that fails is set aside at once.

        Raises:
            StorageError: The disk refused, which is no dump's fault.
            RecipeError: The recipe names what is not there, likewise.
        """
        for dump in dumps:
            version = builder.dumps.versions[dump]
            before = self._attempts.of(dump, version)
            # What a lost process made may never have been told of.
            tells_all = before is not None or self._options.force
            self._attempts.begin(dump, version)
            try:
                yield from self._bring(builder, dump, assets, tells_all=tells_all)
            except (RecipeError, StorageError, *_ENDED):
                # Each dump would fail alike, or a person has had enough.
                self._attempts.take_back(dump, before)
                raise
            except TonsaiError as error:
                self.failed[dump] = self._attempts.fail(dump, version, str(error), for_good=once)
            else:
                # Behind the last event: a process killed before it is asked again, and then tells what it finds.
                self._attempts.done(dump)

    def settle(self, builder: Builder) -> Iterator[Event]:
        """Bring in the dumps that lack something, and set aside those that fail.

        Raises:
            TonsaiError: A dump failed, and the recipe says to stop; or the disk refused.
        """
        yield from self.bring(builder, self.missing(builder).dumps, once=True)
        if self.failed and self._graph.recipe.automation.on_bad_dump == "stop":
            raise TonsaiError(f"{self.say_failed()}; automation.on_bad_dump is 'stop'")

    def say_failed(self) -> str:
        """Say which dumps failed, why, and the way out."""
        said = "; ".join(f"{dump}: {last.reason}" for dump, last in self.failed.items())
        num, are_set_aside = len(self.failed), all(a.is_set_aside for a in self.failed.values())
        then = "set aside" if are_set_aside else f"what fails {MAX_ATTEMPTS} times is set aside"
        return f"{num} dump{'s' if num > 1 else ''} failed: {said}; {then}"

    def _bring(
        self, builder: Builder, dump: DumpKey, assets: Sequence[str], *, tells_all: bool
    ) -> Iterator[Event]:
        yield dg.AssetObservation(
            self._graph.key("raw_dumps"),
            partition=dump,
            tags={"dagster/data_version": builder.dumps.versions[dump]},
        )
        for name in assets:
            known = builder.find(name, dump)
            is_told = known is not None and builder.store.is_current(name, dump, known)
            artifact = builder.build(name, dump, force=self._options.force)
            made = Made(artifact, builder, dump)
            if tells_all or not is_told:
                result = shown(self._graph, self._pages[name], made)
                yield as_event(self._graph, name, result, dump)
                yield from self._checks(name, result.check_results or (), dump)
            if (failed := self._pages[name].blocked(made)) is not None:
                raise TonsaiError(f"{name}.{failed.check_name}: {failed.description}")

    def _checks(
        self, name: str, results: Iterable[dg.AssetCheckResult], dump: DumpKey
    ) -> Iterator[dg.AssetCheckEvaluation]:
        for result in results:
            assert result.check_name is not None, "pages name their checks"
            yield dg.AssetCheckEvaluation(
                asset_key=self._graph.key(name),
                check_name=result.check_name,
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
                # Whether the run goes on without the dump is decided here; a blocking event would end the step.
                blocking=False,
                partition=dump,
            )


def dumps_op(graph: Graph, pages: Pages) -> dg.OpDefinition:
    """Return the op that brings many dumps up to date in one run."""

    @dg.op(
        name=f"{graph.prefix}__dumps",
        out=dg.Out(dg.Nothing),
        description="Ingest, normalize and sign many dumps in one run; one that fails does not stop the others.",
    )
    def _op(context: dg.OpExecutionContext, config: DumpOptions):  # noqa: ANN202 (Dagster reads no generator's type)
        graph.hold(context.run_id)
        view = graph.view(of_catalog=False)
        builder = open_builder(graph.recipe, graph.store, view, engine=config.open_engine)
        run = DumpRun(graph, pages, config)
        wanted = [DumpKey(key) for key in config.dumps]
        gone = [key for key in wanted if key not in view.versions]
        if gone:
            context.log.warning(
                "not there any more, or switched off or set aside: %s", ", ".join(gone)
            )
        here = [key for key in wanted if key in view.versions]
        dumps = here if wanted else list(run.missing(builder, config.assets).dumps)
        context.instance.add_dynamic_partitions(str(graph.dumps.name), dumps)
        assets = [name for name in DUMP_ASSETS if name in config.assets]
        yield from run.bring(builder, dumps, assets, once=config.once)
        if not config.once:
            yield look_at_inbox(graph, pages)
        if run.failed:
            raise dg.Failure(run.say_failed(), allow_retries=False)
        yield dg.Output(None)

    return _op


def settle_dumps(
    context: dg.AssetExecutionContext, graph: Graph, pages: Pages, options: RunOptions
) -> Iterator[Event]:
    """Bring the dumps of the catalog up to date before the corpus is made; leave out those that cannot be used."""
    view = graph.view(of_catalog=True, run_id=context.run_id)
    run = DumpRun(graph, pages, options)
    builder = open_builder(graph.recipe, graph.store, view, engine=options.open_engine)
    num_told = 0
    for event in run.settle(builder):
        num_told += 1
        yield event
    if num_told:
        yield look_at_inbox(graph, pages)
    if run.failed:
        context.log.warning("left out: %s", run.say_failed())
        yield as_event(graph, CATALOG, show_catalog(graph, graph.publish_catalog()), None)
        graph.forget_view(context.run_id)
