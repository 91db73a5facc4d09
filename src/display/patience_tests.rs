//! How long a viewer is waited for, and who is taken to be gone.

use super::*;

/// A viewer's screen, with its QEMU: so many milliseconds until a ping, and until silence ends it.
fn waits(ping: u64, silence: u64) -> (Bed, UnixStream, UnixStream) {
    let [ping, silence, close] = [ping, silence, 30].map(Duration::from_millis);
    let bed = Bed::new(Patience { ping, silence, close, ..Patience::default() });
    let (qemu, viewer) = (bed.grant('a', "control", ""), bed.open_well('a'));
    (bed, qemu, viewer)
}

#[test]
fn a_silent_viewer_is_asked_and_then_dropped() {
    let (bed, mut qemu, mut viewer) = waits(30, 300);
    // One that answers is kept for longer than the silence that ends it.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        assert_eq!(frame(&mut viewer), (0x89, Vec::new()));
        viewer.write_all(&masked(0x80 | Opcode::Pong as u8, b"")).unwrap();
    }
    assert_eq!(bed.shown().len(), 1);
    assert!(is_over(&mut qemu), "it is dropped when it answers no more");
}

#[test]
fn who_only_watches_is_asked_too_and_kept() {
    let (bed, mut qemu, mut viewer) = waits(250, 1000);
    // The screen never rests, and the viewer says nothing but that it is there.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        qemu.write_all(b"x").unwrap();
        match frame(&mut viewer).0 {
            0x82 => {}
            0x89 => viewer.write_all(&masked(0x80 | Opcode::Pong as u8, b"")).unwrap(),
            other => panic!("{other:#x}"),
        }
    }
    assert_eq!(bed.shown().len(), 1);
}

#[test]
fn a_guest_that_takes_no_input_is_not_the_viewers_silence() {
    let (_bed, mut qemu, mut viewer) = waits(30, 2000);
    let keys = [HELLO.to_vec(), KEY.repeat(1 << 17)].concat();
    let (mut writing, sent) = (viewer.try_clone().unwrap(), masked(0x82, &keys));
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    // The pings go on, unanswered, for longer than the silence that ends a screen.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(3000) {
        assert_eq!(frame(&mut viewer).0, 0x89);
    }
    assert!(read_vec(&mut qemu, keys.len()) == keys);
    writer.join().unwrap();
}

#[test]
fn a_page_has_a_notice_in_every_few_seconds_whether_the_screen_rests_or_not() {
    let bed = Bed::new(Patience { notice: Duration::from_millis(50), ..Patience::default() });
    let (mut qemu, mut viewer) = (bed.grant('a', "control", ""), bed.open_well('a'));
    assert!(notice(&mut viewer).is_object() && notice(&mut viewer).is_object(), "at rest");
    for _ in 0..5 {
        // What the page answers is nothing to QEMU.
        send(&mut viewer, b"");
        qemu.write_all(b"x").unwrap();
        while any_frame(&mut viewer).0 != NOTICE {
            qemu.write_all(b"x").unwrap();
        }
    }
    send(&mut viewer, HELLO);
    assert_eq!(&read_exactly::<14>(&mut qemu), HELLO);
}

#[test]
fn a_viewer_that_answers_notices_alone_is_there() {
    let [notice_every, silence] = [20, 300].map(Duration::from_millis);
    let bed = Bed::new(Patience { notice: notice_every, silence, ..Patience::default() });
    let (mut qemu, mut viewer) = (bed.grant('a', "control", ""), bed.open_well('a'));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        notice(&mut viewer);
        send(&mut viewer, b"");
    }
    assert_eq!(bed.shown().len(), 1);
    assert!(is_over(&mut qemu), "it is dropped when it answers no more");
}
