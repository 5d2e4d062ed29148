//! The outermost rim: argv, environment, clock and signals go in; text and an exit status come out.
#![expect(clippy::print_stderr, reason = "the one place that prints")]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use certferry::cli::{Cli, Command, Global, LogFormat};
use certferry::ground::{Clock, Env, Ground, Input, Progress, Say};
use certferry::told::shown;
use certferry::{Ended, run};
use clap::Parser;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[path = "main/terminal.rs"]
mod terminal;

/// A terminal that does not tell its width.
const WIDTH: u16 = 80;

/// What a shell says of a program that was interrupted.
const ENDED_BY_HAND: i32 = 130;

fn main() -> ExitCode {
    no_core_dumps();
    let env = environment();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli.or_hook(&env),
        Err(error) => {
            return misread(&error);
        }
    };
    log(&cli.global, &env);
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(live(cli, env));
            // A blocking thread may sit in a lock or a slow disk; the run has ended all the same.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Ended::failed(format!("error: the runtime cannot start: {error}\n")),
    };
    show(&ended)
}

/// Help and version are answers; anything else is a command line that is wrong.
fn misread(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        let _shown = error.print();
        return ExitCode::SUCCESS;
    }
    show(&Ended::misread(error.render().to_string(), std::env::args_os()))
}

async fn live(cli: Cli, env: Env) -> Ended {
    let stop = CancellationToken::new();
    // At once: until then a signal ends the program where it is, and a task waits for its turn.
    let words = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let watch = tokio::spawn(stop_on_signal(words, stop.clone()));
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    let clock = Clock::new(jiff::Timestamp::now);
    let say = progress(cli.command.as_ref(), cli.global.quiet);
    let (input, width) = (Input::new(|| Box::new(io::stdin())), console_width());
    let ask = terminal::ask(stop.clone());
    let ended = run(cli, Ground { clock, env, input, stop, say, ask, width }).await;
    watch.abort();
    ended
}

/// The first signal asks the run to stop; a second one ends it where it is.
async fn stop_on_signal(words: [io::Result<Signal>; 2], stop: CancellationToken) {
    let [Ok(mut terminate), Ok(mut interrupt)] = words else { return };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    stop.cancel();
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    #[expect(clippy::exit, clippy::disallowed_methods, reason = "nothing is waited for any more")]
    std::process::exit(ENDED_BY_HAND);
}

/// Text goes to stdout where it is the answer, progress beside it; with `--json` stdout is one document.
fn progress(command: Option<&Command>, quiet: bool) -> Say {
    if quiet {
        return Say::nothing();
    }
    let to_stdout = matches!(command, Some(Command::Hook(flags)) if !flags.json);
    // Where questions are asked, nothing else may move.
    let asks = matches!(command, Some(Command::Init(_)));
    let bar = (!to_stdout && !asks && io::stderr().is_terminal()).then(bar);
    Say::new(move |progress| match (progress, &bar) {
        (Progress::Line(line), Some(bar)) => bar.println(shown(&line)),
        (Progress::Line(line), None) if to_stdout => to(io::stdout(), &(line + "\n")),
        (Progress::Line(line), None) => to(io::stderr(), &(line + "\n")),
        (Progress::Steps(number), Some(bar)) => bar.set_length(number),
        (Progress::StepDone, Some(bar)) => bar.inc(1),
        (Progress::Steps(_) | Progress::StepDone, None) => {}
    })
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {elapsed}");
    let bar = ProgressBar::new(1)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_finish(ProgressFinish::AndClear);
    // A slow DNS may keep the number still for minutes: something must move.
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn console_width() -> u16 {
    rustix::termios::tcgetwinsize(io::stdout()).map_or(WIDTH, |size| size.ws_col.max(WIDTH))
}

fn show(ended: &Ended) -> ExitCode {
    to(io::stdout(), &ended.stdout);
    to(io::stderr(), &ended.stderr);
    ExitCode::from(ended.code)
}

/// A reader that has gone away is no failure of ours. Names and messages come from anywhere: none gives a terminal orders.
fn to(mut stream: impl Write, text: &str) {
    let _gone = stream.write_all(shown(text).as_bytes()).and_then(|()| stream.flush());
}

/// `RUST_LOG` decides where it is set and can be read (`level`, or `target=level,...`); else -v and -q do.
fn log(global: &Global, env: &Env) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,certferry=info",
        (false, _) => "warn,certferry=debug",
    };
    let asked = env.var("RUST_LOG").and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| level.parse().unwrap_or_default());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match global.log_format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    if let Err(error) = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init() {
        eprintln!("warning: no log: {error}");
    }
}

fn environment() -> Env {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let vars = std::env::vars_os();
    vars.map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    })
    .collect()
}

/// Keys live in this process's memory: no core file shall keep them.
fn no_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _refused = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
