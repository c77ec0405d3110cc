"""Every claim and the benchmark that shows it: what ``longgame bench list`` prints and the table of ``docs/benchmarks.md``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What one benchmark shows."""

    name: str
    """Of the file in ``benchmarks``."""
    what: str
    goal: str

    @property
    def command(self) -> str:
        """From the root of a checkout; ``--help`` says what else can be asked."""
        return f"python benchmarks/{self.name}.py"


CLAIMS = (
    Claim("import_time", "`import longgame`; `longgame --help`, whole process, median", ".5 s; .4 s"),
    Claim("encoder", "short texts to vectors", "1,400 a second at cosine .999"),
    Claim(
        "tags",
        "tags that a text does not say, against the films' real genres, plainer readers beside it ([reading.md](reading.md))",
        "macro AUC on titles .70",
    ),
    Claim(
        "descriptions",
        "objects by a schema: valid, entailed by the records, in the model's words, and a file for a person to read; "
        "`--worth`: what descriptions tell the encoder beyond titles",
        "all valid, all stated attributes entailed",
    ),
    Claim("neighbours", "exact and approximate nearest neighbours", "what decides `choose_index`"),
    Claim(
        "store",
        "bulk ingest in batches of 1,000; a user's last 50 events with a million in the log",
        "50,000 events a second; 1 ms",
    ),
    Claim("join", "a million decisions joined with their feedback", "60 s, 4 GB"),
    Claim("decide", "200 candidates scored and 10 slots drawn; all of `decide`", "2 ms"),
    Claim(
        "serving",
        "`POST /v1/recommend` at 300 requests a second, load generator on the same machine",
        "p50 5 ms, p99 20 ms",
    ),
    Claim(
        "ranking",
        "the honest table of any data set: every recommender tuned on validation, tested once, seeds, errors "
        "([results.md](results.md))",
        "Beauty R@10 .0980, N@10 .0560; ML-1M R@20 .285, N@20 .273",
    ),
    Claim(
        "ratings",
        "RMSE of SVD, SVD++ and time-aware factors, Surprise's beside them with `--peer`; `--unlabelled`",
        "SVD++ on ML-100K .905",
    ),
    Claim(
        "factors",
        "ALS-64 in 15 iterations beside `implicit`; top 10 of all users",
        "1.2 times its time; 20,000 users a second",
    ),
    Claim(
        "training_speed",
        "the sequence model's training beside RecBole's SASRec with `--peer`",
        "3 times its sequences a second",
    ),
    Claim(
        "adapting",
        "aspects of reviews told by a small language model that learned them on the processor, three seeds, the model as "
        "it is beside it",
        "accuracy .79 on SemEval laptops in 30 minutes",
    ),
    Claim("noise", "every option for little and noisy data, with and without, under 0, 5 and 20 % noise", "paired differences"),
    Claim("asking", "what to ask a new user: error after 1, 3 and 5 answers of each strategy", "popularity beside them"),
    Claim(
        "distilled",
        "a language model's ratings foretold by a model of them, without asking it; what the personas' texts add",
        "RMSE .80; 10,000 ratings a second",
    ),
    Claim(
        "choices",
        "whether a user would choose what is shown, beside a language model that plays the user",
        "balanced accuracy .60",
    ),
    Claim(
        "text_neighbours",
        "items near by their texts are those that the same people took: readers alone, combined, aligned",
        "Recall@100 .174",
    ),
    Claim(
        "pictures",
        "who clicks what in a shop, of items nobody met: text, picture, both, either missing, pictures shuffled, with "
        "and without the dropout of modalities; `--policy`: purchases of a learned policy ([pictures.md](pictures.md))",
        "paired differences",
    ),
    Claim(
        "graph",
        "item vectors with a knowledge graph, without it and with it shuffled; rules beside item-kNN "
        "([knowledge.md](knowledge.md)); `--facts`: the same of what a model read ([reading.md](reading.md))",
        "paired differences",
    ),
    Claim("clicks", "clicks on Last.FM by KGCN's protocol, popularity and item-kNN beside the graph", "AUC .796"),
    Claim(
        "profiles",
        "new users of 1 to 100 events and warm ones: the profile in the state against the same state without, grouped "
        "AUC; `--heard`: where people write and do not rate ([profiles.md](profiles.md))",
        "+2 points; not worse",
    ),
    Claim(
        "shield",
        "a flood of hostile reviews where the language model obeys every word: exposure of the item, with the bounds and "
        "without",
        "1 percentage point",
    ),
    Claim(
        "learned_policy",
        "the learned policy beside the supervised network on liked items, three seeds",
        "paired differences",
    ),
    Claim(
        "lists",
        "one supervised checkpoint before and after list-wise training on a real log, what more training, masks and lists add "
        "told apart, five seeds",
        "NDCG@10 +5 %, recall at 10 and 50 not worse",
    ),
    Claim(
        "endpoint",
        "closed questions and objects asked of a real server over OpenAI's protocol",
        "it works; beside the commoner answer",
    ),
    Claim(
        "worlds",
        "SlateQ in RecSim's worlds, beside chance, plain policies and an oracle, five seeds; RecSim itself with `--peer`",
        "280 and 430 (lower bound); 1,150",
    ),
    Claim(
        "learners",
        "every learner that can live in a world, in one, with one budget: returns, learning curves, beside chance and myopic",
        "interval above myopic",
    ),
    Claim(
        "robust",
        "Q-learning from a shop's log of which 0, 5 and 20 % of events are forged: returns and exposure of what is promoted, "
        "plain and with each option against it, five seeds",
        "paired differences",
    ),
    Claim(
        "sessions",
        "clicks on ads in RecoGym's world, learned from views and clicks alone, five seeds; RecoGym's agents with `--peer`",
        "rate .0236 of 20 products, .0183 of 100 (lower bound)",
    ),
    Claim(
        "worlds_long_term",
        "what is learned for the long run beside what is learned for today: video service, feed, shop and market, five seeds",
        "interval above myopic in each",
    ),
    Claim(
        "from_logs",
        "worlds learned from logs: how like what was held out, and what a price on doubt does "
        "([worlds.md](worlds.md#from-logs))",
        "AUC above the item's own share of likes",
    ),
    Claim(
        "bandits",
        "a contextual bandit on texts, learned as they come: progressive doubly robust loss, Vowpal Wabbit's on the same "
        "examples with `--peer`",
        ".1325",
    ),
    Claim(
        "speed",
        "steps a second of the worlds, RecSim's beside them with `--recsim`; "
        "updates a second of Q-learning, d3rlpy's with `--d3rlpy`, at Pearl's batch with `--batch 128`",
        "300,000 at 10 candidates, 100,000 at 50; 3 times d3rlpy; 20 times Pearl's published 12.9",
    ),
    Claim(
        "live",
        "import to 1,000 recommendations with feedback, after which the policy and its answers have changed",
        "it happens",
    ),
)


def table() -> str:
    """As Markdown, links being those of a page in ``docs``."""
    rows = [f"| `benchmarks/{claim.name}.py` | {claim.what} | {claim.goal} |" for claim in CLAIMS]
    return "\n".join(["| file | claim | goal |", "|---|---|---|", *rows])
