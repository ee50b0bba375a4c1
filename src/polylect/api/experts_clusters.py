"""``experts.clusters``: domains from text without labels."""

from typing import TYPE_CHECKING

from polylect.api.experts_options import ClustersOptions
from polylect.api.people import threads
from polylect.api.results import Plan, Result, out_folder, run_call, settings_of
from polylect.api.text_tables import text_table
from polylect.api.verbs import verb

if TYPE_CHECKING:
    import polars

    from polylect.runs import StepContext

_TABLE = "clusters.parquet"


class TextClusters(Result):
    """Text in clusters, each the domain of one expert."""

    def table(self) -> "polars.DataFrame":
        """A row per cluster: its file, texts, characters, languages, and its mean cosine."""
        import polars

        return polars.read_parquet(self.path / _TABLE)

    def lines(self) -> list[str]:
        """A line per cluster, what was counted, and the folder."""
        head = ("file", "texts", "characters", "cosine", "languages")
        rows = [
            [row["file"], f"{row['texts']:,}", f"{row['characters']:,}", f"{row['cosine']:.3f}",
             row["languages"]]
            for row in self.rows()
        ]  # fmt: skip
        return [*text_table(head, rows, "lrrrl"), *self.ledger.lines(), str(self.path)]


@verb("experts clusters", ClustersOptions, name="experts.clusters")
def experts_clusters(options: ClustersOptions) -> TextClusters | Plan:
    """Divide text without labels into domains: spherical k-means on the vectors of its texts.

    Returns ``TextClusters``: ``.table()`` has a row per cluster with the name of its file.

        pl.experts.clusters("texts", num=4, out="clusters").table()
    """
    from polylect.engine import find_encoder
    from polylect.runs import Call, Files, Step

    encoder = find_encoder(options.encoder)

    def write(_: object, inputs: object, context: "StepContext") -> None:
        from polylect.experts import ClusterConfig, cluster_texts, write_clusters

        config = ClusterConfig(num=options.num, restarts=options.restarts, seed=options.seed)
        cache = options.cache or out.with_name(f"{out.name}-vectors")
        with threads(options.threads, uses_torch=encoder.uses_torch):
            clusters = cluster_texts(
                options.data,
                options.encoder,
                config,
                cache=cache,
                ledger=context.ledger,
                default_language=options.default_language,
            )
        write_clusters(clusters, context.out, _TABLE)

    def plan(out: object) -> list[str]:
        places = ", ".join(map(str, options.data))
        return [f"would divide {places} into {options.num}", f"would write into {out}"]

    settings = settings_of(options, ["data", "cache", "encoder"]) | {"vectors": encoder.content}
    files = {f"data {number}": Files(path) for number, path in enumerate(options.data)}
    call = Call(
        Step("polylect experts clusters", 1, write, uses_languages=True),
        "experts-clusters", settings, files,
    )  # fmt: skip
    out = out_folder(options.output, "experts-clusters", call.key)
    return run_call(call, options.output, "experts-clusters", TextClusters, plan)
