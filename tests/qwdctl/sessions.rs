//! Sessions, machines, status: what is printed and with which exit status.

use super::bed::Bed;
use serde_json::json;
use std::path::Path;

/// Starts a session and returns its id.
fn started(bed: &Bed) -> String {
    bed.good("start ok.iso --json").json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn start_prints_id_and_url() {
    let bed = Bed::new();
    let session = bed.good("start ok.iso --cpus 2 --memory 2G --lifetime 4h --share --json").json();
    let id = session["id"].as_str().unwrap();
    assert_eq!(session["state"], "running");
    assert_eq!(session["cpus"], 2);
    assert_eq!(session["memory_bytes"], 2u64 << 30);
    assert_eq!(session["expires_at"], 4 * 3600);
    assert_eq!(session["url"], format!("https://desk.example/qemu-web-desktop/sessions/{id}"));
    assert_eq!(session["share_url"], format!("https://desk.example/qemu-web-desktop/join#{}", "s".repeat(43)));

    let shown = bed.good("start ok.iso");
    assert!(shown.out.contains("ID") && shown.out.contains("URL  https://desk.example/"), "{}", shown.out);
    assert!(!shown.out.contains("Share"), "{}", shown.out);
    assert!(shown.err.contains("qwdctl: It is emulated"), "{}", shown.err);
}

#[test]
fn start_may_return_before_the_screen_answers() {
    assert_eq!(Bed::new().good("start ok.iso --no-wait --json").json()["state"], "starting");
}

#[test]
fn refusals_and_failures_have_their_exit_status() {
    let bed = Bed::new();
    for (line, code, sentence) in [
        ("start bad.iso", 1, "QEMU said: no room."),
        ("start full.iso", 3, "All 10 places are taken."),
        ("start absent.iso", 4, "There is no such machine."),
        ("start ../x", 4, "There is no such machine"),
        ("show zzzzzzzzzz", 4, "It is not there."),
        ("show nonsense", 4, "There is no session 'nonsense'"),
        ("stop zzzzzzzzzz", 4, "It is not there."),
        ("extend zzzzzzzzzz 2h", 4, "It is not there."),
        ("share zzzzzzzzzz", 4, "It is not there."),
        ("start", 2, "Usage"),
        ("banana", 2, "Usage"),
    ] {
        let outcome = bed.run(line);
        assert_eq!(outcome.code, code, "{line}: {}", outcome.err);
        assert!(outcome.err.contains(sentence), "{line}: {}", outcome.err);
        assert_eq!(outcome.out, "", "{line}");
    }
}

#[test]
fn sessions_are_listed_shown_and_extended() {
    let bed = Bed::new();
    assert_eq!(bed.good("list").out, "There are no sessions.\n");
    assert_eq!(bed.good("list --json").json(), json!([]));
    let id = started(&bed);
    let table = bed.good("list").out;
    assert!(table.lines().next().unwrap().starts_with("ID          OWNER"), "{table}");
    assert!(table.contains(&id) && table.contains("1 GiB   no end"), "{table}");
    assert_eq!(bed.good("list --json").json()[0]["id"], id.as_str());
    assert_eq!(bed.good(&format!("extend {id} 2h --json")).json()["expires_at"], 7200);
    let shown = bed.good(&format!("show {id}")).out;
    assert!(shown.contains("State          running"), "{shown}");
}

#[test]
fn stop_waits_until_all_are_gone() {
    let bed = Bed::new();
    let (a, b) = (started(&bed), started(&bed));
    let one = bed.run(&format!("stop {a} {a}x"));
    assert_eq!(one.code, 4, "{}", one.err);
    assert_eq!(one.out, format!("{a} has ended.\n"));
    let rest = bed.good("stop --all --json").json();
    assert_eq!((rest[0]["id"].as_str(), rest[0]["state"].as_str()), (Some(b.as_str()), Some("ended")));
    assert_eq!(bed.good("list --json").json(), json!([]));
    assert_eq!(bed.good("stop --all --json").json(), json!([]));
}

#[test]
fn shares_are_made_listed_and_revoked() {
    let bed = Bed::new();
    let id = started(&bed);
    let link = bed.good(&format!("share {id} --view --once --lifetime 2h"));
    assert_eq!(link.out, format!("https://desk.example/qemu-web-desktop/join#{}\n", "s".repeat(43)));
    let listed = bed.good(&format!("share {id} --list --json")).json();
    let share = json!({"id": "share1", "role": "view", "created_at": 1000, "expires_at": 7200, "once": true,
        "used": false, "used_at": 0, "used_by": "", "used_by_proof": ""});
    assert_eq!(listed["shares"], json!([share]));
    assert_eq!((&listed["viewers"][0]["role"], &listed["viewers"][0]["since"]), (&json!("control"), &json!(1000)));
    let table = bed.good(&format!("share {id} --list")).out;
    assert!(table.contains("one browser  no") && table.contains("control  own right"), "{table}");
    bed.good(&format!("share {id} --revoke share1"));
    assert!(bed.good(&format!("share {id} --list")).out.starts_with("The session is not shared.\n"));
    assert_eq!(bed.good(&format!("show {id} --json")).json()["viewers"][0]["role"], "control");
    assert!(bed.good(&format!("show {id}")).out.contains("On the screen  "));
}

#[test]
fn machines_have_a_state() {
    let bed = Bed::new();
    let machines = bed.good("machines --json").json();
    let states: Vec<_> = machines.as_array().unwrap().iter().map(|m| m["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ready", "missing", "unusable", "unfit"]);
    let table = bed.good("machines").out;
    assert!(table.contains("ok.iso    ready     any     any      5 MiB  A machine"), "{table}");
    assert!(table.contains("big.iso   unfit     2 to 4  64 GiB+  1 MiB  A machine"), "{table}");
    assert!(table.contains("big.iso: It needs 64 GiB.\n"), "{table}");
    assert!(table.contains("odd.iso: The image is damaged."), "{table}");
}

#[test]
fn machines_are_read_from_files_when_nobody_answers() {
    let bed = Bed::without_launcher();
    bed.root
        .write("etc/qemu-web-desktop/machines.conf", "[a.iso]\ndescription=A\n[b.iso]\nurl=http://x/b.iso\n[c.iso]\n");
    bed.root.write("var/lib/qemu-web-desktop/machines/a.iso", "abc");
    let outcome = bed.good("machines --json");
    assert!(outcome.err.contains("does not answer"), "{}", outcome.err);
    let machines = outcome.json();
    assert_eq!((&machines[0]["state"], &machines[0]["image_bytes"]), (&json!("ready"), &json!(3)));
    assert_eq!(machines[1]["state"], "missing");
    assert!(machines[1]["problem"].as_str().unwrap().contains("qwdctl download b.iso"));
    // What has no address cannot be fetched.
    let own = machines[2]["problem"].as_str().unwrap();
    assert!(own.contains("qwdctl import FILE c.iso") && !own.contains("download"), "{own}");
}

#[test]
fn status_says_loudly_what_is_wrong() {
    let bed = Bed::new();
    bed.root.write("etc/qemu-web-desktop/config.d/x.toml", "[limits]\nservice_max_lod = 1\n");
    let shown = bed.good("status");
    for sentence in
        ["config.d/x.toml:2: 'limits.service_max_lod' is not a setting", "settings from before the last change", "KVM"]
    {
        assert!(shown.err.contains(sentence), "{sentence}: {}", shown.err);
    }
    for figure in ["Sessions", "0 of 10", "0.5 (2 CPUs)"] {
        assert!(shown.out.contains(figure), "{}", shown.out);
    }
    let status = bed.good("status --json").json();
    assert_eq!((&status["version"], &status["sessions_max"]), (&json!("1.2.3"), &json!(10)));
    assert!(status["units"].is_object() && status["config_problems"].as_array().unwrap().len() == 1);
}

#[test]
fn without_a_launcher_the_sentence_says_what_to_look_at() {
    let bed = Bed::without_launcher();
    for line in ["list", "status", "start ok.iso"] {
        let outcome = bed.run(line);
        assert_eq!(outcome.code, 1, "{line}");
        assert!(outcome.err.contains("systemctl status qwd-launcher"), "{line}: {}", outcome.err);
    }
}

#[test]
fn a_launcher_that_ends_under_a_call_is_asked_again_only_where_that_changes_nothing() {
    let bed = Bed::new();
    let id = started(&bed);
    for line in [format!("show {id}"), "list".to_owned(), "machines".to_owned(), "status".to_owned()] {
        let ended = bed.launcher_about_to_end();
        bed.good(&line);
        ended.join().unwrap();
    }
    let before = bed.good(&format!("show {id} --json")).json();
    for line in [format!("extend {id} 1h"), format!("stop {id}")] {
        let ended = bed.launcher_about_to_end();
        let outcome = bed.run(&line);
        assert!(outcome.code == 1 && outcome.err.contains("The launcher does not answer"), "{line}: {}", outcome.err);
        ended.join().unwrap();
    }
    assert_eq!(bed.good(&format!("show {id} --json")).json(), before);
}

#[test]
fn version_config_and_completion_need_nobody() {
    let bed = Bed::without_launcher();
    assert_eq!(bed.good("version --json").json(), json!({"version": env!("CARGO_PKG_VERSION")}));
    assert_eq!(bed.good("--version").out, format!("qwdctl {}\n", env!("CARGO_PKG_VERSION")));
    assert!(bed.good("completion bash").out.contains("-F _clap_complete_qwdctl qwdctl"));
    let settings = bed.good("config --json").json();
    let all = settings.as_array().unwrap();
    let public = all.iter().find(|s| s["key"] == "public_url").unwrap();
    assert_eq!(public["value"], "https://desk.example");
    assert_eq!(public["origin"], "/etc/qemu-web-desktop/config.toml:1");
    assert!(all.iter().any(|s| s["key"] == "limits.service_max_load" && s["origin"] == "default"));
}

#[test]
fn config_shows_all_settings_with_their_origin() {
    let bed = Bed::without_launcher();
    bed.root.write("etc/qemu-web-desktop/config.toml", "[page]\nterms = \"Be kind.\"\n\n[session]\ncpus = 2\n");
    let more = "[download]\nservice_proxy = \"http://me:secret@proxy:3128\"\n\
                [limits.user.\"alice@example.org\"]\nmachines = [\"slax.iso\"]\n";
    bed.root.write("etc/qemu-web-desktop/config.d/site.toml", more);
    let shown = bed.good("config").out;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qwdctl/config.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(golden).unwrap(), "UPDATE_GOLDEN=1 writes what comes out now");
}
