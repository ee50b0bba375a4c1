"""The jobs of ``same_figures.py make``: a command line for every kind of artifact, in old spelling.

A job's words are typed in the folder of the make. ``{out}`` is the job's folder (``made/NAME``),
``{server}`` the address of the planted server, ``@JOB:LABEL`` the folder of a step in another job's
run. The new spelling of a word is a line in ``same_figures_names.toml``; a job whose whole line
changes says ``after``.
"""

from dataclasses import dataclass

A, B, C, FEWER = (f"inputs/llama-{name}" for name in ("a", "b", "c", "fewer"))
TEXT, DATA = "inputs/text.jsonl", "inputs/data"
TINY = (
    "--num-parameters 260000 --vocab-size 800 --base-tokens 9000 --expert-tokens 3000"
    " --bytes-per-language 1000"
)


@dataclass(frozen=True)
class Job:
    """One command line.

    Attributes:
        name: of the job, and of its folder below ``made``.
        before: the words after ``polylect``, in old spelling.
        after: all of them in new spelling, where the map of single words does not do.
        may_fail: the artifacts count, and not how it ends: a known fault may be mended.
    """

    name: str
    before: str
    after: str = ""
    may_fail: bool = False


def runs() -> list[Job]:
    """Recipes on text: the lifecycle, a base to quantize, and the search of merge weights."""
    experts = "@lifecycle:expert-code @lifecycle:expert-germanic-romance @lifecycle:base"
    search = f"run search --models {experts} --workers 1 --out {{out}}"
    text = (
        f"{search} --text {TEXT} --languages en de --held-out-languages es --bytes-per-language 400"
    )
    few = "--evaluations 6 --pareto-evaluations 0 --surrogate-rounds 0 --pool-sizes 0"
    return [
        Job("lifecycle", f"run lifecycle --languages en es de ru code {TINY} --out {{out}}"),
        Job("lifecycle-again", f"run lifecycle --languages en es de ru code {TINY}"
            " --out made/lifecycle --dry-run"),
        Job("base", "run base --languages en ja --num-parameters 240000 --vocab-size 600"
            " --tokens 6000 --workers 1 --out {out}"),
        Job("search", f"{text} --evaluations 6 --pareto-evaluations 20 --surrogate-rounds 1"
            " --pool-sizes 2 --pool-draws 2 --pool-evaluations 5"),
        Job("search-ties", f"{text} {few} --base @lifecycle:init --method ties --set density=0.5"
            " --map signed --fitness constrained --bounds de=9 --maximize en"
            " --normalize-aspects --written"),
        Job("search-tasks", f"{search} --tasks inputs/choice.jsonl --languages de"
            f" --held-out-languages en --average-over task --map abs --fitness min {few}"),
        Job("search-groups", f"{text} {few} --groups west=en,de --fitness weighted"
            " --fitness-weights west=2 --dry-run"),
    ]  # fmt: skip


def trainings() -> list[Job]:
    """Every kind of ``train`` and every objective."""
    few = "--learning-rate 1e-3 --examples-per-step 3 --out {out}"
    prefer = f"train prefer --model {A} --data inputs/pairs.jsonl {few} --probe-prompts 1"
    online = (f"train online --model {A} --data inputs/prompts.jsonl {few} --max-new-tokens 6"
              " --num-samples 2")  # fmt: skip
    rewards = {"rloo": "inputs/reward.py:reward", "copg": "made/reward", "dpo": "language",
               "ipo": "inputs/reward.py:reward", "srpo": "made/reward",
               "best-of-n": "made/reward"}  # fmt: skip
    pairs = {"dpo": "--label-smoothing 0.1 --held-out inputs/held.jsonl", "robust-dpo":
             "--label-smoothing 0.1 --probes 0", "ipo": "--probes 0 --sft-weight 0.2", "ipo-mean":
             "--probes 0", "simpo": "--probes 0 --margin 0.5", "slic": "--probes 0", "kto":
             "--probes 0 --beta 0.2", "srpo": "--alpha 0.4 --probe-tokens 6", "copg":
             "--probes 0"}  # fmt: skip
    online_more = {"rloo": "--prompts-per-round 3 --reference round", "dpo": "--no-gate"}
    return [
        Job("sft", f"train sft --model {A} --data inputs/chats.jsonl {few} --probe-tokens 6"),
        Job("sft-lora", f"train sft --model {A} --data inputs/chats.jsonl {few} --probes 0"
            " --lora-rank 2 --template plain --schedule cosine --epochs 1.5"),
        Job("sft-mixture", f"train sft --model @lifecycle:base --data inputs/chats.jsonl {few}"
            " --mixture inputs/mixture.json --template plain --over-long drop --context-tokens 48"),
        Job("sft-plan", f"train sft --model {A} --data inputs/chats.jsonl {few} --shares de=2,en=1"
            " --language-temperature 1 --dry-run"),
        *(Job(f"prefer-{objective}", f"{prefer} --objective {objective} {more}")
          for objective, more in pairs.items()),
        Job("prefer-scored", f"train prefer --model {A} --data inputs/other-pairs.jsonl {few}"
            " --probes 0 --language-temperature 2 --recompute"),
        Job("reward", f"train reward --model {A} --data inputs/pairs.jsonl {few}"
            " --held-out inputs/held.jsonl --centring 0.01"),
        *(Job(f"online-{objective}", f"{online} --objective {objective} --reward {source}"
              f" {online_more.get(objective, '')}")
          for objective, source in rewards.items()),
    ]  # fmt: skip


def merges() -> list[Job]:
    """Every method, and what can be asked of the inputs and the output."""
    apart = f"--base {A} --models {B} {C}"
    methods = {
        "linear": f"--models {A} {B} --weights 2 1", "slerp": f"--models {A} {B} --set t=0.3",
        "multislerp": f"--models {A} {B} {C}", "task_arithmetic": f"{apart} --weights 0.6 0.4",
        "ties": f"{apart} --set density=0.5", "dare_linear": f"{apart} --set density=0.5 --seed 3",
        "dare_ties": f"{apart} --set density=0.5", "della": f"{apart} --set density=0.5",
        "della_linear": f"{apart} --set density=0.5", "breadcrumbs": f"{apart} --set density=0.5",
        "breadcrumbs_ties": f"{apart} --set density=0.5", "model_stock": apart, "sce": apart,
        "interpolate": f"--models {A} {B} --set t=0.5", "passthrough": f"--models {B}",
    }  # fmt: skip
    return [
        *(Job(f"merge-{method}", f"merge --method {method} {words} --out {{out}}")
          for method, words in methods.items()),
        Job("merge-union", f"merge --models {A} {FEWER} --vocabulary union --out {{out}}"),
        Job("merge-adapter", f"merge --models {A} {B}+inputs/adapter --out {{out}}"),
        Job("merge-recipe", "merge inputs/recipe.yaml --parity --out {out}"),
        Job("merge-parts", f"merge --models {A} {B} {C} --out-dtype BF16 --max-shard-bytes 100000"
            " --out {out}"),
        Job("merge-plan", f"merge --method ties {apart} --dry-run --out {{out}}"),
        Job("verify", "verify made/merge-ties --blocks 8"),
        Job("verify-lifecycle", "verify @lifecycle:merge-weighted --blocks 8"),
    ]  # fmt: skip


def quantizations() -> list[Job]:
    """Every scheme, the study and the search over schemes."""
    text = f"--calibration {TEXT} --quota en=2 de/news=1 --rows 6 --row-tokens 32"
    schemes = ("w8", "w8a8", "w8a8-smooth", "w4", "w4-gptq", "w4-g128", "w4-g128-gptq", "awq",
               "llm-int8", "nf4")  # fmt: skip
    recipe = (f"--model {A} --calibration {TEXT} --tasks inputs/likelihood.jsonl --rows 6"
              " --row-tokens 32 --workers 1 --out {out}")  # fmt: skip
    return [
        *(Job(f"quantize-{scheme}", f"quantize {A} --scheme {scheme} {text} --out {{out}}")
          for scheme in schemes),
        Job("quantize-layers", f"quantize @lifecycle:base --scheme w4-gptq --calibration {TEXT}"
            " --quota uniform --rows 4 --row-tokens 32 --passes 2 --damping 0.02 --group-size 16"
            " --layers *.down_proj=w8 *.layers.0.*=none --embeddings bfloat16"
            " --max-shard-bytes 100000 --out {out}"),
        Job("quantize-plan", f"quantize {A} {text} --dry-run --out {{out}}"),
        Job("quantize-study", f"quantize study {recipe} --schemes w8 w4 w4-gptq --quotas uniform"
            " --measured-rows 1 --judgments inputs/quantized-judgments.jsonl --people ann"
            " --note Quantized"),
        Job("quantize-search", f"quantize search {recipe} --low w4 --high w8 --max-increase 0.5"
            " --limit 4"),
    ]  # fmt: skip


def scorings() -> list[Job]:
    """Tasks of choice, likelihood and generation, built in and from files; comparisons."""
    files = "inputs/choice.jsonl,inputs/likelihood.jsonl"
    choices = "xcopa,xstorycloze,xwinograd,belebele,global_mmlu,okapi_mmlu,next_sentence"
    likelihoods = "xquad,mgsm,gsm8k,humaneval,mbpp_text,ntrex_bits,translation_choice"
    written = ("mgsm_direct,mgsm_native_cot,mgsm_en_cot,gsm8k_generate,xquad_generate,"
               "translate_from_english,humaneval_run,mbpp_text_run")  # fmt: skip
    built_in = f"--datasets {DATA} --limit 3 --over-long cut --out {{out}}"
    logs = "inputs/lm_eval_logs"
    return [
        Job("eval-a", f"eval {A} --tasks {files} --shots 1 --name first --out {{out}}"),
        Job("eval-b", f"eval {B} --tasks {files} --shots 1 --name second --out {{out}}"),
        Job("eval-chat", f"eval {A} --tasks inputs/choice.jsonl,gsm8k_generate --chat"
            f" --add-bos always --dtype bfloat16 --max-tokens 200 --max-new-tokens 4 {built_in}"),
        *(Job(f"eval-{scheme}", f"eval made/quantize-{scheme} --tasks {files} --out {{out}}")
          for scheme in ("w4-gptq", "w8a8-smooth", "awq", "llm-int8", "nf4")),
        Job("eval-built-in", f"eval {A} --tasks {choices},{likelihoods} {built_in}"),
        Job("eval-written", f"eval {A} --tasks {written} {built_in} --max-new-tokens 6"
            " --num-samples 2 --temperature 0.8 --top-p 0.9"),
        Job("eval-headless", f"eval {A} --tasks xlsum,xstest {built_in} --max-new-tokens 6",
            may_fail=True),
        Job("eval-plan", f"eval {A} --tasks {files} --dry-run"),
        Job("compare", "compare made/eval-a made/eval-b --resamples 200 --out {out}"),
        Job("compare-logs", f"compare {logs}/before {logs}/after --resamples 200 --out {{out}}"),
        Job("compare-plan", "compare made/eval-a made/eval-b --dry-run"),
    ]  # fmt: skip


def answerings() -> list[Job]:
    """Open answers of checkpoints and of a server; judges, grades, agreement, confusion."""
    ask = "--prompts inputs/questions.jsonl --max-new-tokens 8 --out {out}"
    sides = "made/generate-a made/generate-server"
    server, local = "--judges {server}#judge", "--judges inputs/llama-c --verdict logprob"
    return [
        Job("generate-a", f"generate {A} {ask}"),
        Job("generate-drawn", f"generate {B} {ask} --temperature 0.8 --top-k 20 --top-p 0.9"
            " --min-p 0.01 --num-samples 2 --seed 5 --template plain --languages de,tr --limit 2"
            " --stop the"),
        Job("generate-other", f"generate {{server}} {ask} --seed 7 --name other --template none"),
        Job("generate-server", f"generate {{server}} {ask} --temperature 0.5"),
        Job("generate-plan", f"generate {A} {ask} --dry-run"),
        Job("judge-arena", f"judge {sides} {server} --preset arena-hard --seen de"
            " --human inputs/people.jsonl --out {out}"),
        Job("judge-aya", f"judge {sides} {server} --preset aya --length-tokenizer {A}"
            " --out {out}"),
        Job("judge-logprob", f"judge {sides} {local} --preset m-arena-hard --over-long cut"
            " --out {out}"),
        Job("judge-plan", f"judge {sides} {server} --preset aya --dry-run --out {{out}}"),
        Job("winrate", "winrate made/judge-arena inputs/people.jsonl --seen de --out {out}"),
        Job("winrate-games", "winrate inputs/games.jsonl --weight 2 --out {out}"),
        Job("grade", f"grade {sides} {server} --rubric aya --human inputs/people-grades.jsonl"
            " --out {out}"),
        Job("grade-logprob", f"grade made/generate-a {local} --rubric inputs/rubric.json"
            " --over-long cut --out {out}"),
        Job("agreement", "agreement made/judge-arena inputs/people.jsonl --out {out}"),
        Job("agreement-grades", "agreement made/grade inputs/people-grades.jsonl --out {out}"),
        Job("confusion", f"confusion {sides} made/generate-other inputs/answers.csv"
            " --words inputs/words.txt --identifiers benchmark polylect lingua --out {out}"),
        Job("confusion-compare", "compare made/confusion/planted.parquet"
            " made/confusion/other.parquet --resamples 100 --out {out}"),
        Job("prompts", f"prompts language_confusion --datasets {DATA} --limit 2"
            " --out {out}"),
    ]  # fmt: skip


def rankings() -> list[Job]:
    """Boards, audits and simulations."""
    votes, board = "inputs/votes.jsonl", "rank inputs/votes.jsonl --out {out}"
    simulate = f"--votes {votes} --out {{out}}"
    return [
        Job("rank", f"{board} --anchor mid-0=1100 --contrast big-0 --by language"),
        *(Job(f"rank-{model}", f"{board} --model {model}")
          for model in ("davidson", "rao-kupper", "both-bad")),
        Job("rank-bootstrap", f"{board} --bootstrap 100 --cluster voter"),
        Job("rank-prior", f"{board} --reweight 50 --prior 300"),
        Job("rank-features", f"{board} --features length"),
        Job("rank-best-of", f"{board} --best-of big-0=5 --spread 40 --chosen-at 2025-02-01"),
        Job("audit", f"audit {votes} --boards inputs/boards.jsonl --registry inputs/registry.jsonl"
            " --out {out}"),
        Job("simulate-rigging", f"simulate rigging {simulate} --target mid-1 --accounts 20"
            " --worlds 1"),
        Job("simulate-sampling", f"simulate sampling {simulate} --width 80"
            " --registry inputs/registry.jsonl"),
        Job("simulate-retire", f"simulate retire {simulate} --targets free-0 --keep-share 0.1"),
        Job("simulate-task-mix", "simulate task-mix --worlds 10 --out {out}"),
        Job("simulate-sparse-graph", "simulate sparse-graph --worlds 6 --out {out}"),
    ]  # fmt: skip


def alignments() -> list[Job]:
    """The recipes that align a checkpoint."""
    start = f"--model {A} --prompts inputs/prompts.jsonl --held inputs/held.jsonl"
    few = "--max-new-tokens 6 --prompts-per-step 3 --learning-rate 1e-2 --workers 1 --out {out}"
    share = f"{start} --pairs inputs/pairs.jsonl {few}"
    tracks = ("--tracks code=inputs/chats.jsonl chat=inputs/more-chats.jsonl"
              " --preferences safe=inputs/pairs.jsonl kind=inputs/other-pairs.jsonl")  # fmt: skip
    clusters = "--clusters north=en,de south=en,tr --anchors en --conversations inputs/chats.jsonl"
    return [
        Job("polish", f"run polish {share} --num-best 2"),
        Job("rounds", f"run rounds {share} --rounds 1 --reward language --num-samples 2"),
        Job("soups", f"run soups {share} {tracks} --reward language --weights code=3 chat=1"
            " --ease 0.5 --num-best 2"),
        Job("clusters", f"run clusters {share} {clusters} --rounds 1 --reward language"
            " --num-samples 2"),
        *(Job(f"{name}-plan", f"run {name} {share} {more} --dry-run") for name, more in
          (("polish", ""), ("rounds", ""), ("soups", tracks), ("clusters", clusters))),
    ]  # fmt: skip


def listings() -> list[Job]:
    """What only speaks."""
    return [
        Job("languages", "languages"), Job("tasks", "tasks"), Job("tasks-xcopa", "tasks xcopa"),
        Job("prompt-sets", "prompts"), Job("runs", "runs made"),
        Job("runs-lifecycle", "runs made/lifecycle"), Job("runs-search", "runs made/search"),
    ]  # fmt: skip


JOBS = (*runs(), *trainings(), *merges(), *quantizations(), *scorings(), *answerings(), *rankings(),
        *alignments(), *listings())  # fmt: skip
"""All jobs, in the order in which they need each other."""
