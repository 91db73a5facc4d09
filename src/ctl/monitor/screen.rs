//! The terminal while something is drawn on it in place: another screen than the shell's, keys that come
//! one by one, and everything as it was before, whatever ends the program short of SIGKILL.
//!
//! Signals are taken by a thread of their own, so that Ctrl-C ends it also while the launcher is asked.

use crate::ctl::signals::{Signal, Signals};
use crate::model::Problem;
use nix::sys::signal::raise;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Read, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What ends the program, stops it for a while, or changes the terminal's size.
const SIGNALS: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP, Signal::SIGWINCH];

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Terminals that know these show what lies between as one.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// What somebody at the terminal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// No more.
    Leave,
    /// The same again, on a terminal that may have another size.
    Redraw,
}

/// The terminal, until it is dropped.
pub(super) struct Screen {
    terminal: Arc<Terminal>,
    events: Receiver<Event>,
}

impl Screen {
    /// Takes the terminal. Threads that the caller starts afterwards get no signals.
    pub(super) fn enter() -> Result<Self, Problem> {
        let signals = Signals::hold(SIGNALS)?;
        let terminal = Arc::new(Terminal::default());
        let (sender, events) = channel();
        terminal.enter();
        let (of_signals, sender_of_signals) = (Arc::clone(&terminal), sender.clone());
        signals.each(move |signal| obey(signal, &of_signals, &sender_of_signals));
        if isatty(stdin()) {
            std::thread::spawn(move || listen(&sender));
        }
        Ok(Self { terminal, events })
    }

    /// Draws lines, made for so many columns and rows.
    pub(super) fn draw(&self, lines: impl FnOnce(usize, usize) -> Vec<String>) {
        let (columns, rows) = size();
        self.terminal.write(&frame(&lines(columns, rows), rows));
    }

    /// Waits for somebody at the terminal; `None`: nobody wanted anything.
    pub(super) fn wait(&self, at_most: Duration) -> Option<Event> {
        self.events.recv_timeout(at_most).ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.terminal.leave();
    }
}

/// Columns and rows; what cannot be found out is as of old.
fn size() -> (usize, usize) {
    let (columns, rows) = tcgetwinsize(stdout()).map_or((0, 0), |size| (size.ws_col.into(), size.ws_row.into()));
    (if columns == 0 { 80 } else { columns }, if rows == 0 { 24 } else { rows })
}

/// Lines over what stood there: each clears what is left of the old one, so that nothing flickers.
fn frame(lines: &[String], rows: usize) -> String {
    let shown: Vec<String> = lines.iter().take(rows).map(|line| format!("{line}\x1b[K")).collect();
    format!("{BEGIN}{}{END}", shown.join("\r\n"))
}

/// Whether the screen is ours, and how the terminal was set before.
#[derive(Default)]
struct Terminal(Mutex<State>);

#[derive(Default)]
struct State {
    ours: bool,
    before: Option<Termios>,
}

impl Terminal {
    fn enter(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.before = tcgetattr(stdin()).ok();
        if let Some(before) = &state.before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &quiet);
        }
        state.ours = true;
        put(ENTER);
    }

    fn leave(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.ours) {
            put(LEAVE);
            if let Some(before) = state.before.take() {
                let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
            }
        }
    }

    /// Nothing is written to a screen that has been left.
    fn write(&self, text: &str) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ours {
            put(text);
        }
    }
}

/// A terminal that is gone is told by SIGHUP.
fn put(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn obey(signal: Signal, terminal: &Terminal, events: &Sender<Event>) -> bool {
    match signal {
        Signal::SIGWINCH => {}
        Signal::SIGTSTP => {
            terminal.leave();
            // Of this thread: it comes back here only once the program goes on.
            let _ = raise(Signal::SIGSTOP);
            terminal.enter();
        }
        _ => {
            terminal.leave();
            std::process::exit(0);
        }
    }
    let _ = events.send(Event::Redraw);
    true
}

/// `q`, or the end of what is typed.
fn listen(events: &Sender<Event>) {
    let _ = stdin().lock().bytes().map_while(Result::ok).find(|byte| b"qQ\x04".contains(byte));
    let _ = events.send(Event::Leave);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_last_and_never_scrolls() {
        let lines: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let frame = frame(&lines, 2);
        assert!(frame.starts_with(BEGIN) && frame.ends_with(END));
        assert!(frame.contains("a\x1b[K\r\nb\x1b[K") && !frame.contains('c'));
        assert!(!frame.contains("\x1b[2J"));
    }

    #[test]
    fn a_screen_that_has_been_left_is_not_written_to() {
        let terminal = Terminal::default();
        terminal.write("x");
        terminal.leave();
        assert!(!terminal.0.lock().unwrap().ours);
    }
}
