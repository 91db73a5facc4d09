//! The monitor where standard output is no terminal; the terminal's own is in tests/e2e.

use super::bed::{Bed, qwdctl};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn without_a_terminal_a_table_is_printed_once_and_has_rates() {
    let bed = Bed::new();
    let id = bed.good("start ok.iso --cpus 2 --json").json()["id"].as_str().unwrap().to_owned();
    for line in ["monitor", "monitor --once"] {
        let table = bed.good(line).out;
        assert!(table.starts_with("Load 0.5 (2 CPUs)   Memory 4 GiB of 8 GiB   "), "{table}");
        let row = table.lines().last().unwrap();
        assert!(row.starts_with(&id) && row.contains("  0.50/2  200 MiB/1 GiB  1        no end"), "{table}");
        assert!(table.contains("\nKVM does not work here.\n") && !table.contains('\u{1b}'), "{table}");
    }
}

#[test]
fn an_idle_service_says_so() {
    assert!(Bed::new().good("monitor").out.ends_with("Nothing is running.\n"));
}

#[test]
fn json_is_one_object_for_each_reading() {
    let bed = Bed::new();
    bed.good("start ok.iso");
    let once = bed.good("monitor --once --json").json();
    let (session, status) = (&once["sessions"][0], &once["status"]);
    assert_eq!((&session["cpus_busy"], &session["memory_used_bytes"]), (&json!(0.5), &json!(200 << 20)));
    assert!(session["url"].as_str().unwrap().starts_with("https://desk.example/qemu-web-desktop/sessions/"));
    assert_eq!((&status["sessions_max"], once["read_at"].is_u64()), (&json!(10), true));

    let mut command = Command::new(qwdctl());
    command.args(["monitor", "--json", "--interval", "1"]).env("DBUS_SYSTEM_BUS_ADDRESS", bed.address());
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(running.stdout.take().unwrap()).lines().take(2);
    let values: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(values.iter().all(|value| value["sessions"][0]["cpus_busy"] == 0.5), "{values:?}");
    assert!(values[1]["read_at"].as_u64() > values[0]["read_at"].as_u64());
}

#[test]
fn the_page_in_a_file_has_the_same_figures() {
    let bed = Bed::new();
    bed.good("start ok.iso --cpus 2");
    let file = bed.root.0.join("page.html");
    bed.good(&format!("monitor --once --html {}", file.display()));
    let html = fs::read_to_string(file).unwrap();
    for words in
        ["ok.iso", "0.50 of 2", "200 MiB of 1 GiB", "0.5 (2 CPUs)", "4 GiB of 8 GiB", "KVM does not work here."]
    {
        assert!(html.contains(words), "{words}: {html}");
    }
}

#[test]
fn what_cannot_be_done_has_its_exit_status() {
    let bed = Bed::new();
    bed.good("start full.iso --force");
    for (line, code, sentence) in [
        ("monitor", 1, "Only an administrator"),
        ("monitor --json", 1, "Only an administrator"),
        ("monitor --html x --json", 2, "leave one of them out"),
        ("monitor --once --html /dev/null", 1, "is no file"),
        ("monitor --interval 0", 2, "--interval"),
    ] {
        let outcome = bed.run(line);
        assert_eq!(outcome.code, code, "{line}: {}", outcome.err);
        assert!(outcome.err.contains(sentence) && outcome.out.is_empty(), "{line}: {}", outcome.err);
    }
    let nobody = Bed::without_launcher().run("monitor --once");
    assert!(nobody.code == 1 && !nobody.err.is_empty(), "{}", nobody.err);
}
