//! Streams that are not files: standard input and the journal, each with a buffer that is followed as a file is.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use crate::format::Format;
use crate::journal::{Following, JournalReader};
use crate::settings::{AgentSettings, JournalSettings, STDIN, Start, TargetSettings};
use crate::spool::{Spool, newest};

/// A stream and where its buffer lies.
#[derive(Clone, Debug)]
struct Input {
    journal: Option<JournalSettings>,
    start: Start,
    folder: PathBuf,
    name: String,
    bytes_max: u64,
}

/// All streams of an agent.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    inputs: Vec<Input>,
    /// Whether there is nothing but standard input, so that the agent ends with it.
    only_stdin: bool,
    following: Vec<Following>,
}

impl Inputs {
    /// The streams of some settings, and the settings with their buffers in their place.
    pub(crate) fn of(settings: &AgentSettings) -> (Self, AgentSettings) {
        let mut settings = settings.clone();
        let beside = settings.positions_file.with_extension("buffer");
        let folder = settings.buffer.folder.clone().unwrap_or(beside);
        let only_stdin = settings.targets.iter().all(|target| target.path == STDIN);
        let mut inputs = Vec::new();
        for target in &mut settings.targets {
            let name = match (&target.journal, target.path.as_str()) {
                // Whatever place it has among the targets.
                (Some(journal), _) => {
                    format!("journal-{:016x}", xxh3_64(journal.matches.join("\n").as_bytes()))
                }
                (None, STDIN) => "stdin".to_owned(),
                _ => continue,
            };
            let start = std::mem::take(&mut target.start);
            put_buffer_into(target, &newest(&folder, &name));
            inputs.push(Input {
                journal: target.journal.take(),
                start,
                folder: folder.clone(),
                name,
                bytes_max: settings.buffer.bytes_max,
            });
        }
        (Self { inputs, only_stdin, following: Vec::new() }, settings)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Begins to read, each stream on a thread of its own. `ended` is called when there will be no more for good.
    ///
    /// # Errors
    /// A buffer cannot be opened.
    pub(crate) fn start(
        &mut self,
        stopping: &Arc<AtomicBool>,
        ended: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<()> {
        for Input { journal, start, folder, name, bytes_max } in self.inputs.clone() {
            let stopping = Arc::clone(stopping);
            let thread = std::thread::Builder::new().name(name.clone());
            // The threads are not waited for: one may be waiting for a line that never comes.
            if let Some(journal) = journal {
                let reader = JournalReader::open(&journal, start, &folder, &name, bytes_max)?;
                let following = Following::default();
                self.following.push(Arc::clone(&following));
                thread.spawn(move || reader.run(&following, &stopping))?;
            } else {
                let spool = Spool::open(&folder, &name, bytes_max)?;
                let ended = self.only_stdin.then(|| ended.clone());
                thread.spawn(move || match read_all(io::stdin(), spool, &stopping) {
                    Ok(()) => ended.iter().for_each(|ended| ended()),
                    Err(error) => tracing::error!(%error, "standard input is read no further"),
                })?;
            }
        }
        Ok(())
    }

    /// Ends the processes that follow journals.
    pub(crate) fn stop(&self) {
        self.following.iter().for_each(crate::journal::end);
    }
}

fn put_buffer_into(target: &mut TargetSettings, file: &Path) {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    target.path = globset::escape(&file.to_string_lossy());
    target.path_label.clear();
    target.spooled = true;
    if target.journal.is_some() {
        target.format = Format::Journal;
    }
}

/// Reads a stream to its end, and waits until all of it was sent.
fn read_all(mut stream: impl Read, mut spool: Spool, stopping: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while !stopping.load(Ordering::Relaxed) {
        let bytes = match stream.read(&mut buffer) {
            Ok(0) => {
                spool.finish(stopping)?;
                return Ok(());
            }
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if !spool.append_stream(buffer.get(..bytes).unwrap_or_default(), stopping)? {
            return Ok(());
        }
    }
    Ok(())
}
