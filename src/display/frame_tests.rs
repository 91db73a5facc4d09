use super::*;
use crate::display::testing::masked as frame;

/// All data in order, and the control frames with their payloads.
type Decoded = (Vec<u8>, Vec<(Event, Vec<u8>)>);

fn decode(pieces: &[&[u8]]) -> Result<Decoded, Fault> {
    let mut decoder = Decoder::default();
    let (mut data, mut controls, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut buffer = std::mem::take(&mut rest);
        buffer.extend_from_slice(piece);
        let (mut at, end) = (0, buffer.len());
        while let Some(event) = decoder.next(&mut buffer, &mut at, end)? {
            match event {
                Event::Data(range) => data.extend_from_slice(&buffer[range]),
                control => controls.push((control, decoder.control().to_vec())),
            }
        }
        rest = buffer[at..].to_vec();
        assert!(rest.len() < 14, "only a header is ever kept back");
    }
    Ok((data, controls))
}

#[test]
fn frames_read_the_same_however_they_are_split() {
    let long: Vec<u8> = (0..300_u32).map(|n| n as u8).collect();
    let sent = [
        frame(0x82, b"one"),
        frame(0x89, b"are you there"),
        frame(0x02, b"two, "),
        frame(0x8a, b""),
        frame(0x00, b""),
        frame(0x80, b"continued"),
        frame(0x82, &long),
        frame(0x88, &[3, 232]),
    ]
    .concat();
    let data = [b"onetwo, continued".to_vec(), long].concat();
    let controls =
        vec![(Event::Ping, b"are you there".to_vec()), (Event::Pong, Vec::new()), (Event::Close, vec![3, 232])];
    for cut in 0..=sent.len() {
        assert_eq!(decode(&[&sent[..cut], &sent[cut..]]).unwrap(), (data.clone(), controls.clone()), "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = sent.chunks(1).collect();
    assert_eq!(decode(&bytes).unwrap(), (data, controls));
}

#[test]
fn a_long_frame_reads_back() {
    let long: Vec<u8> = (0..200_000_u32).map(|n| (n * 7) as u8).collect();
    let sent = frame(0x82, &long);
    for size in [1, 3, 7, 4096, 65_536, 300_000] {
        let pieces: Vec<&[u8]> = sent.chunks(size).collect();
        assert_eq!(decode(&pieces).unwrap().0, long, "in pieces of {size}");
    }
}

#[test]
fn the_longest_frames_are_taken() {
    let most = [&[0x82, 0xff][..], &FRAME_MAX.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(decode(&[&most]).unwrap(), (vec![], vec![]));
    let ping = frame(0x89, &[7; CONTROL_MAX]);
    assert_eq!(decode(&[&ping]).unwrap().1, [(Event::Ping, vec![7; CONTROL_MAX])]);
}

#[test]
fn a_broken_frame_is_refused_with_its_code() {
    let huge = [&[0x82, 0xff][..], &(FRAME_MAX + 1).to_be_bytes()].concat();
    let refused = [
        (frame(0x81, b"text"), Code::Unsupported),
        (frame(0xc2, b"compressed"), Code::Protocol),
        (frame(0x80, b"continues nothing"), Code::Protocol),
        ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), Code::Protocol),
        (frame(0x83, b"reserved"), Code::Protocol),
        (frame(0x8b, b"reserved"), Code::Protocol),
        (frame(0x09, b"ping in pieces"), Code::Protocol),
        (frame(0x89, &[0; 126]), Code::Protocol),
        (vec![0x82, 3, 1, 2, 3], Code::Protocol),
        (vec![0x82, 0xfe, 0, 5], Code::Protocol),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255], Code::Protocol),
        (huge, Code::TooBig),
    ];
    for (sent, code) in refused {
        assert_eq!(decode(&[&sent]).unwrap_err().0, code, "{:?}", &sent[..2]);
    }
}

#[test]
fn a_header_ends_where_the_payload_begins() {
    for (length, expected) in [
        (0, vec![0x82, 0]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (65_535, vec![0x82, 126, 255, 255]),
        (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut room = [0xee; HEADER_MAX];
        let used = put_header(&mut room, Opcode::Binary, length);
        assert_eq!(room[HEADER_MAX - used..], expected, "{length}");
    }
}

#[test]
fn noise_never_panics() {
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let noise: Vec<u8> = (0..30)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect();
        let _ = decode(&[&noise[..7], &noise[7..]]);
        let _ = decode(&[&[0x82, 0x85], &noise]);
    }
}
