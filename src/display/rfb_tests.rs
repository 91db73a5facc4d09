use super::*;

const HELLO: &[u8] = b"RFB 003.008\n\x01\x01";

fn message(kind: u8, length: usize) -> Vec<u8> {
    // A body of 250s looks like xvp messages to a parser that has lost its place.
    let mut bytes = vec![250; length];
    bytes[0] = kind;
    bytes
}

fn cut_text(length: i32) -> Vec<u8> {
    let mut bytes = vec![6, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.resize(8 + length.unsigned_abs() as usize, b'x');
    bytes
}

fn with(head: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.resize(length, 250);
    bytes
}

/// Every message there is, in its shortest and a longer form; and whether a viewer may send it.
fn every_message() -> Vec<(Vec<u8>, bool)> {
    vec![
        (message(0, 20), true),
        (with(&[2, 0, 0, 0], 4), true),
        (with(&[2, 0, 0, 5], 24), true),
        (message(3, 10), true),
        (message(4, 8), false),
        (message(5, 6), false),
        (cut_text(0), false),
        (cut_text(77), false),
        (cut_text(-4), false),
        (cut_text(-60), false),
        (message(150, 10), true),
        (with(&[248, 0, 0, 0, 0, 0, 0, 0, 0], 9), true),
        (with(&[248, 0, 0, 0, 0, 0, 0, 0, 64], 73), true),
        (with(&[251, 0, 4, 0, 3, 0, 0, 0], 8), false),
        (with(&[251, 0, 4, 0, 3, 0, 2, 0], 40), false),
        (with(&[255, 0, 0, 1], 12), false),
        (with(&[255, 1, 0, 0], 4), false),
        (with(&[255, 1, 0, 1], 4), false),
        (with(&[255, 1, 0, 2], 10), false),
    ]
}

/// Feeds the stream in pieces; returns what passed.
fn feed(role: Role, pieces: &[&[u8]]) -> Result<Vec<u8>, Violation> {
    let mut filter = Filter::new(role);
    let mut passed = Vec::new();
    for piece in pieces {
        // An odd place in a larger buffer, as in life.
        let mut buffer = vec![0xee; 3];
        buffer.extend_from_slice(piece);
        buffer.push(0xee);
        let mut runs = Vec::new();
        filter.feed(&mut buffer, 3..3 + piece.len(), &mut runs)?;
        for pair in runs.windows(2) {
            assert!(pair[0].end < pair[1].start, "runs are in order and joined: {runs:?}");
        }
        passed.extend(runs.into_iter().flat_map(|run| buffer[run].to_vec()));
    }
    Ok(passed)
}

fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    [HELLO.to_vec(), messages.concat()].concat()
}

#[test]
fn a_role_passes_exactly_its_messages_however_they_are_split() {
    let all: Vec<Vec<u8>> = every_message().into_iter().map(|(bytes, _)| bytes).collect();
    let seen: Vec<Vec<u8>> = every_message().into_iter().filter(|(_, view)| *view).map(|(bytes, _)| bytes).collect();
    let sent = stream(&all);
    for (role, expected) in [(Role::Control, sent.clone()), (Role::View, stream(&seen))] {
        for cut in 0..=sent.len() {
            assert_eq!(feed(role, &[&sent[..cut], &sent[cut..]]).unwrap(), expected, "{role} cut at {cut}");
        }
        for size in 1..40 {
            let pieces: Vec<&[u8]> = sent.chunks(size).collect();
            assert_eq!(feed(role, &pieces).unwrap(), expected, "{role} in pieces of {size}");
        }
    }
}

#[test]
fn messages_that_all_pass_are_one_run() {
    let mut sent = stream(&every_message().into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>());
    let (mut runs, end) = (Vec::new(), sent.len());
    Filter::new(Role::Control).feed(&mut sent, 0..end, &mut runs).unwrap();
    assert_eq!(runs, vec![0..end]);
}

#[test]
fn the_power_button_is_dropped_for_everybody() {
    let sent = stream(&[message(3, 10), vec![250, 0, 1, 2], message(3, 10)]);
    let expected = stream(&[message(3, 10), message(3, 10)]);
    assert_eq!(feed(Role::Control, &[&sent]).unwrap(), expected);
    assert_eq!(feed(Role::View, &[&sent]).unwrap(), expected);
}

#[test]
fn the_screen_is_always_shared() {
    assert_eq!(feed(Role::Control, &[b"RFB 003.008\n\x01\x00"]).unwrap(), HELLO);
    assert_eq!(feed(Role::View, &[b"RFB 003.007\n\x01", b"\x00"]).unwrap(), b"RFB 003.007\n\x01\x01");
}

#[test]
fn a_strange_greeting_ends_the_connection() {
    let strange: [&[u8]; 5] =
        [b"RFB 003.003\n", b"RFB 003.889\n", b"GET / HTTP/1", b"RFB 003.008\n\x02", b"RFB 003.008\n\x00"];
    for sent in strange {
        assert!(feed(Role::Control, &[sent]).is_err(), "{sent:?}");
    }
}

#[test]
fn an_unknown_message_ends_the_connection_in_every_role() {
    let known = [0, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255];
    for kind in (0..=255).filter(|kind| !known.contains(kind)) {
        for role in [Role::Control, Role::View] {
            assert!(feed(role, &[HELLO, &[kind]]).is_err(), "type {kind}");
        }
    }
    for strange in [vec![255, 2], vec![255, 255], vec![255, 1, 0, 3], vec![255, 1, 1, 0]] {
        for role in [Role::Control, Role::View] {
            assert!(feed(role, &[HELLO, &strange]).is_err(), "{strange:?}");
        }
    }
}

#[test]
fn what_is_too_long_ends_the_connection_before_its_body() {
    let head = |length: i32| [&[6, 0, 0, 0][..], &length.to_be_bytes()].concat();
    let too_long = [
        head((1 << 20) + 1),
        head(-(1 << 20) - 1),
        head(i32::MAX),
        head(i32::MIN),
        head(-3),
        head(-1),
        vec![2, 0, 2, 1],
        vec![2, 0, 255, 255],
        vec![248, 0, 0, 0, 0, 0, 0, 0, 65],
    ];
    for sent in too_long {
        for role in [Role::Control, Role::View] {
            assert!(feed(role, &[HELLO, &sent]).is_err(), "{sent:?}");
        }
    }
    let longest = [cut_text(1 << 20), cut_text(-(1 << 20)), message(3, 10)].concat();
    assert_eq!(feed(Role::Control, &[HELLO, &longest]).unwrap().len(), HELLO.len() + longest.len());
}

#[test]
fn noise_never_panics_nor_passes_a_key_of_a_viewer() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let noise: Vec<u8> = (0..40)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly known types, so that it gets somewhere.
                [0, 2, 3, 4, 5, 6, 150, 248, 251, 255, 0, (state >> 40) as u8][(state >> 56) as usize % 12]
            })
            .collect();
        if let Ok(passed) = feed(Role::View, &[HELLO, &noise]) {
            // What passed must read as messages of a viewer again.
            assert_eq!(feed(Role::View, &[&passed]).unwrap(), passed);
        }
    }
}
