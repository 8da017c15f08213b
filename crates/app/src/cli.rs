//! What was typed: commands and flags, without meaning. Each command's own file says what they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Takes logs from anything that can send them and finds any line in them fast.
#[derive(Debug, Parser)]
#[command(name = "timberyard", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Typed {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Server(ServerArguments),
    /// Read files as they grow and send their lines, each once.
    Agent(AgentArguments),
    /// Ask a server for logs or figures, in LogQL.
    Query(QueryArguments),
    /// Follow logs as they come in.
    Tail(TailArguments),
    /// Send the lines of text files, or of standard input.
    Push(PushArguments),
    /// Make, list, rotate and revoke API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Send made-up logs, for trying things and for measuring.
    Loadgen(LoadgenArguments),
    /// Check settings, or show them with where each came from.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Change the tables of databases that sinks write to.
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Look at what retention does.
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Read everything in a data directory and say what is damaged.
    Verify {
        /// The data directory of a stopped server, or a snapshot.
        data_dir: PathBuf,
    },
    /// Make a consistent copy of a data directory, by hard links where possible.
    Snapshot(SnapshotArguments),
    /// Make a data directory from a snapshot.
    Restore {
        /// The folder that `snapshot` made.
        snapshot_dir: PathBuf,
        /// The data directory to make; it must be absent or empty.
        #[arg(long, default_value = "./data")]
        data_dir: PathBuf,
    },
}

/// Where settings come from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SettingsArguments {
    /// Read settings from this YAML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Read environment variables from this file; those of the process count before them.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
    /// Listen on this address [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) listen: Option<String>,
    /// Keep all data in this folder [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// What a server of several does [default: all].
    #[arg(long, value_enum)]
    pub(crate) role: Option<Role>,
}

/// The commands of `migrate`.
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Apply what is not applied yet.
    Up(MigrateArguments),
    /// Take back what was applied last.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1, value_name = "COUNT")]
        steps: usize,
        #[command(flatten)]
        arguments: MigrateArguments,
    },
    /// Say what is applied, and since when.
    Status(MigrateArguments),
    /// Write the two files of a new migration, for `migrations_dir`.
    New {
        /// What it does, in a word.
        name: String,
        /// The folder for them; made when it is not there.
        #[arg(long, default_value = "./migrations")]
        dir: PathBuf,
    },
}

/// Which databases.
#[derive(Args, Debug)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    pub(crate) settings: SettingsArguments,
    /// The sink of that name alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Option<String>,
}

/// Flags of `server`.
#[derive(Args, Debug)]
pub(crate) struct ServerArguments {
    #[command(flatten)]
    pub(crate) settings: SettingsArguments,
}

/// Flags of `agent`.
#[derive(Args, Debug)]
pub(crate) struct AgentArguments {
    /// Read settings from this YAML file.
    #[arg(long, value_name = "FILE", required_unless_present = "promtail")]
    pub(crate) config: Option<PathBuf>,
    /// Read settings from this scrape file of Promtail, and say what of it is ignored.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) promtail: Option<PathBuf>,
    /// Say what is wrong with the settings or ignored of them, and end.
    #[arg(long)]
    pub(crate) check: bool,
}

/// What a server process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    All,
    /// Takes logs in and hands them to Kafka; keeps nothing.
    Ingest,
    /// Reads Kafka and writes to the other sinks.
    Worker,
}

impl Role {
    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Worker => "worker",
        }
    }
}

/// Which server to talk to, and as whom.
#[derive(Args, Debug, Default)]
pub(crate) struct ClientArguments {
    /// The server [default: TIMBERYARD_URL, LOGPULSE_SERVER_URL or http://127.0.0.1:8080].
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The API key [default: TIMBERYARD_API_KEY or LOGPULSE_API_KEY].
    #[arg(long, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// The tenant, sent as X-Scope-OrgID [default: TIMBERYARD_TENANT].
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Time, labels and line.
    #[default]
    Default,
    /// The line alone.
    Raw,
    /// One JSON object a line.
    Jsonl,
}

/// Which lines come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// Newest first.
    #[default]
    Backward,
    /// Oldest first.
    Forward,
}

/// How lines are shown.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LineArguments {
    /// How lines are shown.
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Show no labels.
    #[arg(long)]
    pub(crate) no_labels: bool,
    /// Of the labels show only this one; may be given many times.
    #[arg(long, value_name = "NAME", conflicts_with = "no_labels")]
    pub(crate) include_label: Vec<String>,
    /// Do not show this label; may be given many times.
    #[arg(long, value_name = "NAME")]
    pub(crate) exclude_label: Vec<String>,
    /// Give each stream its colour although standard output is no terminal.
    #[arg(long)]
    pub(crate) colored_output: bool,
}

/// Flags of `query`.
#[derive(Args, Debug)]
pub(crate) struct QueryArguments {
    /// The query, such as '{service_name="api"} |= "error"'.
    #[arg(value_name = "LOGQL")]
    pub(crate) query: String,
    /// Look back this far from --to, such as 30m, 1h or 7d.
    #[arg(long, default_value = "1h", conflicts_with = "from")]
    pub(crate) since: String,
    /// Begin at this time: RFC 3339, or nanoseconds since 1970.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End before this time [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Show at most this many lines.
    #[arg(long, default_value_t = 30)]
    pub(crate) limit: usize,
    /// Show all lines, however many there are.
    #[arg(long, conflicts_with_all = ["limit", "instant", "explain"])]
    pub(crate) all: bool,
    /// Ask for at most this many lines at once; a server may allow fewer.
    #[arg(long, default_value_t = 5000)]
    pub(crate) batch: usize,
    #[command(flatten)]
    pub(crate) lines: LineArguments,
    /// Which lines come first.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) direction: Direction,
    /// The same as --direction forward.
    #[arg(long, conflicts_with = "direction")]
    pub(crate) forward: bool,
    /// Time between the points of a metric query, such as 30s; the server chooses when not said.
    #[arg(long)]
    pub(crate) step: Option<String>,
    /// Evaluate a metric query once, at --to.
    #[arg(long)]
    pub(crate) instant: bool,
    /// Say what the query cost, on standard error.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Show what the server would read and do, and do not run the query.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Say nothing but the answer: no progress, no warnings.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Flags of `tail`.
#[derive(Args, Debug)]
pub(crate) struct TailArguments {
    /// The query: a selector with any stages of a log query.
    #[arg(value_name = "LOGQL")]
    pub(crate) query: String,
    /// Show what came in this long before, too.
    #[arg(long, default_value = "0s")]
    pub(crate) since: String,
    /// Show at most this many of the lines before.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) lines: LineArguments,
    /// Say nothing but lines: not that the connection was lost, nor that lines were left out.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Flags of `push`.
#[derive(Args, Debug)]
pub(crate) struct PushArguments {
    /// Text files; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A label of the stream; may be given many times [default: job=push].
    #[arg(long = "label", short, value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Send about this many bytes of lines in one request.
    #[arg(long, default_value = "1MiB", value_name = "BYTES")]
    pub(crate) batch_bytes: String,
    /// Leave out and report lines longer than this.
    #[arg(long, default_value = "262144", value_name = "BYTES")]
    pub(crate) line_bytes_max: String,
    /// The time of the first line; each further line is one nanosecond later. Pushing the same files with the same
    /// time again adds nothing [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Try a request that fails again for this long.
    #[arg(long, default_value = "2m", value_name = "SPAN")]
    pub(crate) retry_for: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Commands of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key that the server stores (as a digest), and print it; it is shown this once.
    Create(CreateKeyArguments),
    /// Show the stored keys with their use.
    List(KeyStoreArguments),
    /// Make a key that takes over from another, and print it; both are good while they overlap.
    Rotate {
        /// The name or id of the key.
        key: String,
        /// How long the old key stays good [default: 24h].
        #[arg(long, value_name = "SPAN")]
        overlap: Option<String>,
        /// From now on, have the server rotate the key by itself at this age, such as 30d, with this overlap, and write it
        /// to auth.rotated_keys_dir. 0s ends that.
        #[arg(long, value_name = "SPAN")]
        every: Option<String>,
        #[command(flatten)]
        store: KeyStoreArguments,
    },
    /// Take back a key, or all keys of a name, at once.
    Revoke {
        /// The name or id of the key.
        key: String,
        #[command(flatten)]
        store: KeyStoreArguments,
    },
    /// Keys that are signed with a secret and stored nowhere.
    #[command(flatten)]
    Signed(SignedKeyCommand),
}

/// Where stored keys are: on a data directory, whether its server runs or not, or behind the API of a running server.
#[derive(Args, Debug, Default)]
pub(crate) struct KeyStoreArguments {
    /// The data directory; a server that runs on it takes changes over within seconds. Without it, the running server
    /// is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<String>,
    /// Read the pepper (auth.pepper) from this YAML file; with --data-dir.
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub(crate) config: Option<PathBuf>,
    /// Read environment variables from this file; with --data-dir.
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub(crate) env_file: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Flags of `keys create`.
#[derive(Args, Debug)]
pub(crate) struct CreateKeyArguments {
    /// What to call the key.
    #[arg(long)]
    pub(crate) name: String,
    /// The tenants that it may name, with commas between; the first counts when a request names none. * is any
    /// [default: --tenant].
    #[arg(long, value_name = "TENANTS")]
    pub(crate) tenants: Option<String>,
    /// What it may do: push, read, tail, delete, admin.
    #[arg(long, value_name = "SCOPES", default_value = "push,read,tail")]
    pub(crate) scopes: String,
    /// How long it is good, such as 90d [default: for ever].
    #[arg(long, value_name = "SPAN")]
    pub(crate) expires: Option<String>,
    /// The streams that it may send and see, such as '{app="x"}' [default: all].
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) labels: Option<String>,
    /// Have the server rotate it by itself at this age, such as 30d, and write it to auth.rotated_keys_dir [default: never].
    #[arg(long, value_name = "SPAN")]
    pub(crate) rotate_every: Option<String>,
    /// How long the old key stays good after such a rotation [default: 24h, or half the interval].
    #[arg(long, value_name = "SPAN", requires = "rotate_every")]
    pub(crate) overlap: Option<String>,
    #[command(flatten)]
    pub(crate) store: KeyStoreArguments,
}

/// Commands about keys that are signed with a secret.
#[derive(Debug, Subcommand)]
pub(crate) enum SignedKeyCommand {
    /// Print the key of a client.
    Issue {
        /// The client's name.
        #[arg(long, value_name = "NAME")]
        client: String,
        /// The secret that signs keys [default: AUTH_SECRET].
        #[arg(long)]
        secret: Option<String>,
    },
    /// Print the client of a key; fails when the key is not good.
    Verify {
        /// The key.
        key: String,
        /// The secret that signs keys [default: AUTH_SECRET].
        #[arg(long)]
        secret: Option<String>,
    },
}

/// The requests that `loadgen` can make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LoadFormat {
    /// log-go's array at /v1/logs.
    #[default]
    Loggo,
    /// Logtopus' array at /v1/logs.
    Logtopus,
    /// LogPulse's streams at /ingest.
    Logpulse,
    /// LogStream's single entries at /api/ingest.
    Logstream,
    /// Change66's events at /api/v1/batch-ingest.
    Change66,
    /// Loki's streams at /loki/api/v1/push.
    Loki,
}

/// Flags of `loadgen`.
#[derive(Args, Debug)]
pub(crate) struct LoadgenArguments {
    /// Whose requests to make.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: LoadFormat,
    /// Entries in a request.
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: usize,
    /// Entries in all.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) total: u64,
    /// Milliseconds to wait between requests.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) delay: u64,
    /// Give entries labels of their own (region, version).
    #[arg(long)]
    pub(crate) labels: bool,
    /// The same seed makes the same entries but for their times [default: random].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Commands of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with the settings, if anything.
    Check {
        #[command(flatten)]
        settings: SettingsArguments,
        /// Try every connection that they name, and say what is there.
        #[arg(long)]
        connect: bool,
    },
    /// Show all settings as YAML, each with where it came from. Secrets are masked.
    Print {
        #[command(flatten)]
        settings: SettingsArguments,
        /// Say above each setting what it means.
        #[arg(long)]
        describe: bool,
    },
}

/// What `retention` does.
#[derive(Debug, Subcommand)]
pub(crate) enum RetentionCommand {
    /// Show which rule would free how much, before it happens. Changes nothing.
    Preview(RetentionPreviewArguments),
}

/// Flags of `retention preview`.
#[derive(Args, Debug)]
pub(crate) struct RetentionPreviewArguments {
    /// Read settings from this YAML file.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) config: Option<PathBuf>,
    /// Read environment variables from this file; those of the process count before them.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) env_file: Option<PathBuf>,
    /// Look at this data directory, under the settings given here [default: that of the settings].
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<String>,
    /// As if it were this time: RFC 3339, or nanoseconds since 1970 [default: now].
    #[arg(long, value_name = "TIME", conflicts_with = "after")]
    pub(crate) at: Option<String>,
    /// As if this much time had passed, such as 7d.
    #[arg(long, value_name = "SPAN")]
    pub(crate) after: Option<String>,
    /// Show JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// A running server, by --url: it answers under its own settings.
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Flags of `snapshot`.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArguments {
    /// The folder to make; it must be absent or empty.
    pub(crate) dir: PathBuf,
    /// The data directory of a stopped server; without it, the running server is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::error::ErrorKind> {
        Typed::try_parse_from(std::iter::once("timberyard").chain(line.split_whitespace()))
            .map(|typed| typed.command)
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Typed::command().debug_assert();
    }

    #[test]
    fn what_is_documented_can_be_typed() {
        for line in [
            "server",
            "server --config c.yaml --listen 127.0.0.1:1 --data-dir d --role all --env-file .env",
            "query {a=\"b\"} --since 1h --limit 5 --output raw --url http://h:1 --direction forward --stats",
            "query {a=\"b\"} --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z -o jsonl --api-key k --tenant t",
            "query {a=\"b\"} --all --forward --quiet --batch 100",
            "query {a=\"b\"} --explain",
            "tail {a=\"b\"} --url http://h:1",
            "push a.log b.log - --label app=x -l env=y --batch-bytes 64KiB",
            "keys issue --client web --secret s",
            "keys verify web.sig",
            "keys create --name web --tenant acme --scopes push,read --expires 90d --labels {app=\"x\"} --data-dir d",
            "keys list --url http://h:1 --api-key k --json",
            "keys rotate web --overlap 1h --data-dir d --config c.yaml",
            "keys revoke web",
            "loadgen --url http://h:1 --batch 10 --total 100 --delay 5 --format change66 --seed 7 --labels",
            "config check --config c.yaml",
            "config print --env-file .env --describe",
            "verify ./data",
            "snapshot ./copy --data-dir ./data",
            "restore ./copy --data-dir ./new",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        use clap::error::ErrorKind;
        for (line, kind) in [
            ("serve", ErrorKind::InvalidSubcommand),
            ("server --role boss", ErrorKind::InvalidValue),
            ("query", ErrorKind::MissingRequiredArgument),
            ("query q --since 1h --from 2026-11-20T00:00:00Z", ErrorKind::ArgumentConflict),
            ("query q --all --limit 5", ErrorKind::ArgumentConflict),
            ("query q --forward --direction backward", ErrorKind::ArgumentConflict),
            ("push", ErrorKind::MissingRequiredArgument),
            ("keys issue", ErrorKind::MissingRequiredArgument),
            ("loadgen --format morse", ErrorKind::InvalidValue),
            ("snapshot d --data-dir e --url http://h", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(parse(line).expect_err(line), kind, "{line}");
        }
    }
}
