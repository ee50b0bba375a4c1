"""Operations on mixtures in a folder of tiny models; no torch, so that a child begins fast."""

from polylect.base import Ledger
from polylect.checkpoints import Checkpoint
from polylect.experts import (
    Domains,
    ExtendConfig,
    Output,
    UpcycleConfig,
    export,
    extend,
    find_domains,
    read_domain,
    remove,
    upcycle,
)

TAGS = ("de", "fr", "code", "ja")


def run(name, root, out, **options):
    output = Output(**options)
    opened = {path.name: Checkpoint.open(path) for path in root.iterdir()
              if (path / "config.json").is_file()}  # fmt: skip
    texts = [read_domain(root / f"{tag}.jsonl", 10, 0, Ledger()) for tag in TAGS]
    domains = find_domains(texts, "ngrams#width=8")
    first = Domains(domains.vectors[:2], domains.records[:2], domains.encoder,
                    domains.encoder_digest)  # fmt: skip
    last = Domains(domains.vectors[3:], domains.records[3:], domains.encoder,
                   domains.encoder_digest)  # fmt: skip
    if name == "upcycle":
        return upcycle(UpcycleConfig(), opened["seed"], [opened["de"], opened["fr"]], out,
                       domains=first, output=output)  # fmt: skip
    if name == "extend":
        return extend(ExtendConfig(), opened["moe"], opened["ja"], out, domain=last,
                      output=output)  # fmt: skip
    if name == "remove":
        return remove(opened["moe"], "de", out, output=output)
    return export(opened["moe"], out, output=output)
