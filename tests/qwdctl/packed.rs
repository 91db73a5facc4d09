//! Downloads that are packed, of several machines at once, or larger than anybody wants.

use super::site::{Site, disk, sha256};
use super::web::{Web, orderly, send, send_raw};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::sync::{Arc, Barrier};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_comes_packed_is_unpacked_once() {
    let packed = gzip(&disk(1));
    let web = orderly(packed.clone(), "\"v1\"");
    let site = Site::new(&format!("[m.img]\nurl={}\nsha256={}\n", web.url("/disk-1.img.gz"), sha256(&packed)));
    let outcome = site.run("download");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "m.img: downloaded (195 KiB)\n"), "{}", outcome.err);
    assert_eq!(site.image(), Some(disk(1)));
    assert_eq!(site.shelf(), ["disk-1.img"]);
    assert_eq!((site.result().as_str(), web.seen().len()), ("current", 1));
    // Without a checksum the server is asked, by what it said the first time.
    site.catalogue(&format!("[m.img]\nurl={}\n", web.url("/disk-1.img.gz")));
    assert_eq!(site.result(), "current");
    assert_eq!(web.seen()[1].header("if-none-match"), Some("\"v1\""));
}

#[test]
fn a_packed_image_that_is_no_good_leaves_the_old_one_in_force() {
    let web = orderly(disk(1), "\"v1\"");
    let site = Site::one(&web.url("/a.img"));
    site.run("download");
    let whole = gzip(&disk(2));
    let cut = whole[..whole.len() / 2].to_vec();
    for (content, sentence) in [
        (cut, "damaged or cut short"),
        (gzip(b"Hello."), "not a disk image"),
        (gzip(&gzip(&disk(2))), "packed in an archive"),
        (gzip(&vec![0; 3 << 20]), "unpacks to more than 2 MiB"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "nothing in it"),
    ] {
        let bad = orderly(content, "\"bad\"");
        site.catalogue(&format!("[m.img]\nurl={}\n", bad.url("/a.img.gz")));
        site.0.write("etc/qemu-web-desktop/config.toml", "[download]\nsize_max = \"2M\"\n");
        let outcome = site.run("download");
        assert_eq!(outcome.code, 1, "{sentence}");
        assert!(outcome.err.contains(sentence), "{sentence}: {}", outcome.err);
        assert_eq!(site.image(), Some(disk(1)), "{sentence}");
        assert_eq!(site.shelf(), ["a.img"], "{sentence}");
    }
}

#[test]
fn what_an_interrupted_run_left_is_unpacked_by_the_next() {
    let web = orderly(gzip(&disk(1)), "\"v1\"");
    let site = Site::one(&web.url("/a.img.gz"));
    let shelf = site.machines().join("downloads/m.img");
    fs::create_dir_all(&shelf).unwrap();
    fs::write(shelf.join("a.img.gz.part"), gzip(&disk(1))).unwrap();
    fs::write(shelf.join("a.img.gz.unpacked"), &disk(1)[..1000]).unwrap();
    let state = format!(r#"{{"url":"{}","validators":{{"etag":"\"v1\""}}}}"#, web.url("/a.img.gz"));
    fs::write(shelf.join(".part-state"), state).unwrap();
    assert_eq!(site.result(), "downloaded");
    assert_eq!((site.image(), site.shelf()), (Some(disk(1)), vec!["a.img".to_owned()]));
}

#[test]
fn several_are_fetched_at_the_same_time() {
    // Each server answers only once the other one has been asked as well.
    let both = Arc::new(Barrier::new(2));
    let server = |mark| {
        let both = Arc::clone(&both);
        Web::new(move |_, stream| {
            both.wait();
            send(stream, "200 OK", &["ETag: \"v1\""], &disk(mark));
        })
    };
    let (a, b) = (server(1), server(2));
    let site = Site::new(&format!("[m.img]\nurl={}\n[n.img]\nurl={}\n", a.url("/a.img"), b.url("/b.img")));
    let outcome = site.run("download --json n.img m.img n.img");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let names: Vec<_> = outcome.json().as_array().unwrap().iter().map(|o| o["name"].clone()).collect();
    assert_eq!(names, ["n.img", "m.img"], "in the order that was asked for, each once");
    assert_eq!(site.image(), Some(disk(1)));
}

#[test]
fn what_is_larger_than_allowed_is_given_up() {
    let announced = Web::new(|_, stream| send_raw(stream, "200 OK", &["Content-Length: 9000000"], b""));
    // Until the client has had enough.
    let endless = Web::new(|_, stream| {
        send_raw(stream, "200 OK", &[], b"");
        while stream.write_all(&[7; 65_536]).is_ok() {}
    });
    for web in [announced, endless] {
        let site = Site::one(&web.url("/a.img"));
        site.0.write("etc/qemu-web-desktop/config.toml", "[download]\nsize_max = \"8M\"\n");
        let outcome = site.run("download");
        assert!(outcome.code == 1 && outcome.err.contains("larger than 8 MiB"), "{}", outcome.err);
        assert_eq!(site.shelf(), Vec::<String>::new());
    }
}

#[test]
fn another_server_does_not_send_us_to_ourselves() {
    let inner = orderly(disk(1), "\"v1\"");
    let there = format!("Location: {}", inner.url("/secret.img"));
    // Stands for a server outside, by way of a proxy.
    let outer = Web::new(move |_, stream| send(stream, "302 Found", &[&there], b""));
    let site = Site::one("http://image.example/a.img");
    let mut command = site.command("download");
    command.env("http_proxy", format!("http://{}", outer.address)).env("no_proxy", "127.0.0.1");
    let outcome = super::bed::Outcome::of(&mut command);
    assert!(outcome.code == 1 && outcome.err.contains("this server itself"), "{}", outcome.err);
    assert!(inner.seen().is_empty());
}
