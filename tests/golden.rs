//! What is generated, held line by line: QEMU's arguments and the unit's properties.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what comes out now; read the difference.

use qwd::config::{Catalogue, Settings};
use qwd::images::Format;
use qwd::model::{Bytes, Lifetime};
use qwd::policy;
use qwd::qemu::{Accel, DescriptorKind, Disk, Hardware, Network, Nvram, Plan, StartDocument, argv};
use qwd::unit::{self, Properties, SessionPlan};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "{name} differs from what is held; it is now:\n{text}");
}

/// What a section of machines.conf with these keys makes of the defaults.
fn hardware(keys: &str) -> Hardware {
    let catalogue = Catalogue::parse(&format!("[m.img]\n{keys}\n"));
    assert_eq!(catalogue.faults, []);
    Hardware::of(&catalogue.machines[0].hardware, &Settings::default().qemu).unwrap()
}

fn iso_under_tcg() -> Plan {
    Plan {
        id: "abcdefghij".parse().unwrap(),
        machine: "grub.iso".parse().unwrap(),
        hardware: hardware(""),
        accel: Accel::Tcg(Bytes(128 << 20)),
        cpus: 1,
        memory: Bytes(1 << 30),
        disk: Disk::Empty { cd: "/var/lib/qemu-web-desktop/machines/grub.iso".into() },
        nvram: Nvram::default(),
        overlay: "/var/tmp/disk.qcow2".into(),
        network: Network::None,
    }
}

fn desktop_under_kvm() -> Plan {
    Plan {
        machine: "Debian 12 (desktop).qcow2".parse().unwrap(),
        accel: Accel::Kvm,
        cpus: 4,
        memory: Bytes(4 << 30),
        hardware: hardware("video=virtio"),
        disk: Disk::Image { path: "/srv/Debian 12, \"x\".qcow2".into(), format: Format::Qcow2 },
        network: Network::User,
        ..iso_under_tcg()
    }
}

fn unit_of(plan: &Plan, outside: Option<PathBuf>) -> SessionPlan {
    let user = plan.network == Network::User;
    let own = [("192.0.2.7".parse().unwrap(), 24), ("2001:db8::7".parse().unwrap(), 64)];
    SessionPlan {
        id: plan.id.clone(),
        machine: plan.machine.clone(),
        argv: argv(plan),
        cpus: plan.cpus,
        memory: plan.memory,
        overhead: Bytes(256 << 20),
        cpu_quota: 100,
        accel: plan.accel,
        hardware: plan.hardware.clone(),
        variables: plan.hardware.firmware_files().map(|_| Bytes(540_672)),
        nvram: plan.nvram.clone(),
        disk: plan.disk.clone(),
        disk_size: Bytes(10 << 30),
        file_max: Some(Bytes(20 << 30)),
        outside,
        stop_grace: Lifetime(30),
        closed: user.then(|| policy::closed(&own, &["192.168.7.0/24".parse().unwrap()], Some([10, 9, 9, 53].into()))),
        resolv_conf: user.then(|| "/run/qemu-web-desktop/resolv/10.9.9.53".into()),
        card: plan.network == Network::Bridge,
    }
}

/// One line for each property, sorted by name: systemd takes different properties in any order.
fn lines(properties: &Properties) -> String {
    let mut sorted: Vec<_> = properties.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut text = String::new();
    for (name, value) in sorted {
        let networks = Vec::<(i32, Vec<u8>, u32)>::try_from(value.try_clone().unwrap());
        match networks {
            Ok(networks) => writeln!(text, "{name} = {}", networks.iter().map(network).collect::<Vec<_>>().join(" ")),
            Err(_) => writeln!(text, "{name} = {value}"),
        }
        .unwrap();
    }
    text
}

fn network((_, bytes, length): &(i32, Vec<u8>, u32)) -> String {
    let v4 = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from)).unwrap();
    format!("{address}/{length}")
}

#[test]
fn arguments_of_an_iso_under_tcg() {
    check("argv-iso-tcg.txt", &(argv(&iso_under_tcg()).join("\n") + "\n"));
}

#[test]
fn arguments_of_a_desktop_under_kvm() {
    check("argv-qcow2-kvm.txt", &(argv(&desktop_under_kvm()).join("\n") + "\n"));
}

fn with(keys: &str, plan: Plan) -> Plan {
    Plan { hardware: hardware(keys), ..plan }
}

fn windows() -> Plan {
    with("os=windows\nfirmware=uefi-secure\ntpm=yes", desktop_under_kvm())
}

fn arm() -> Plan {
    with("architecture=aarch64", iso_under_tcg())
}

#[test]
fn arguments_for_windows() {
    check("argv-windows-kvm.txt", &(argv(&windows()).join("\n") + "\n"));
    check("argv-windows-tcg.txt", &(argv(&with("os=windows", iso_under_tcg())).join("\n") + "\n"));
}

#[test]
fn arguments_of_another_architecture() {
    check("argv-aarch64-tcg.txt", &(argv(&arm()).join("\n") + "\n"));
}

/// Of each choice only what differs from an ordinary machine.
#[test]
fn arguments_of_every_choice() {
    let mut text = String::new();
    for (keys, plan) in [
        ("firmware=uefi", desktop_under_kvm()),
        ("tpm=yes", desktop_under_kvm()),
        ("video=qxl", desktop_under_kvm()),
        ("video=vmware", desktop_under_kvm()),
        ("video=std\narchitecture=aarch64", arm()),
        ("disk=sata", iso_under_tcg()),
        ("disk=scsi", iso_under_tcg()),
        ("disk=virtio", iso_under_tcg()),
        ("disk=nvme", iso_under_tcg()),
        ("disk=sata\nfirmware=uefi-secure", iso_under_tcg()),
        ("disk=virtio\nfirmware=uefi-secure", iso_under_tcg()),
        ("network_card=e1000", desktop_under_kvm()),
        ("clock=localtime", desktop_under_kvm()),
        ("balloon=no", desktop_under_kvm()),
        ("qemu_exec=/opt/qemu/bin/qemu-system-x86_64", desktop_under_kvm()),
    ] {
        let usual = argv(&with("", plan.clone()));
        writeln!(text, "{}", keys.replace('\n', " ")).unwrap();
        let chosen = argv(&with(keys, plan));
        chosen.iter().filter(|line| !usual.contains(line)).for_each(|line| writeln!(text, "    + {line}").unwrap());
        usual.iter().filter(|line| !chosen.contains(line)).for_each(|line| writeln!(text, "    - {line}").unwrap());
    }
    check("argv-choices.txt", &text);
}

/// The document without QEMU's arguments, which others hold.
fn rest_of_document(plan: &Plan) -> String {
    let document = StartDocument { qemu: Vec::new(), ..unit::document(&unit_of(plan, None)) };
    serde_json::to_string(&document).unwrap() + "\n"
}

#[test]
fn documents_of_starts() {
    let bridge = Plan { network: Network::Bridge, ..desktop_under_kvm() };
    let all = [iso_under_tcg(), windows(), bridge].map(|plan| rest_of_document(&plan));
    check("documents.txt", &all.concat());
    let whole = unit::document(&unit_of(&windows(), None));
    assert_eq!(whole.qemu, argv(&windows()));
}

#[test]
fn unit_of_windows_with_firmware_and_tpm() {
    check("unit-windows-kvm.txt", &lines(&unit::session(&unit_of(&windows(), None))));
}

#[test]
fn unit_of_an_iso_without_a_network() {
    check("unit-iso-tcg.txt", &lines(&unit::session(&unit_of(&iso_under_tcg(), None))));
}

#[test]
fn unit_of_a_desktop_with_a_network_and_a_disk_outside() {
    let outside = Some("/srv/disks/abcdefghij/disk.qcow2".into());
    check("unit-qcow2-kvm.txt", &lines(&unit::session(&unit_of(&desktop_under_kvm(), outside))));
}

#[test]
fn unit_and_arguments_of_a_desktop_on_a_bridge_differ_only_by_the_network() {
    let (user, bridge) = (desktop_under_kvm(), Plan { network: Network::Bridge, ..desktop_under_kvm() });
    let mut text = String::new();
    for (before, after) in [
        (argv(&user).join("\n"), argv(&bridge).join("\n")),
        (lines(&unit::session(&unit_of(&user, None))), lines(&unit::session(&unit_of(&bridge, None)))),
    ] {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (lines(&before), lines(&after));
        after.iter().filter(|line| !before.contains(line)).for_each(|line| writeln!(text, "+ {line}").unwrap());
        before.iter().filter(|line| !after.contains(line)).for_each(|line| writeln!(text, "- {line}").unwrap());
    }
    check("bridge.txt", &text);
    assert_eq!(unit::document(&unit_of(&bridge, None)).descriptors.last(), Some(&DescriptorKind::Card));
}

#[test]
fn unit_of_a_network_card() {
    let (id, bridge) = ("abcdefghij".parse().unwrap(), "br0".parse().unwrap());
    check("unit-tap.txt", &lines(&unit::tap(&id, &bridge, true)));
    assert!(!lines(&unit::tap(&id, &bridge, false)).contains("isolated"));
}

#[test]
fn a_disk_that_is_kept_and_an_installation() {
    let master = Plan { disk: Disk::Own, ..desktop_under_kvm() };
    let cd = Disk::Install { cd: "/srv/install.iso".into() };
    let kept = Some("/var/lib/qemu-web-desktop/machines/.a.qcow2.work/disk".into());
    let ordinary = argv(&desktop_under_kvm());
    let differs = |plan: &Plan| argv(plan).into_iter().filter(|a| !ordinary.contains(a)).collect::<Vec<_>>().join("\n");
    let unit = |plan: &Plan, name| {
        let unit = unit::session(&unit_of(plan, kept.clone()));
        let told = ["BindReadOnlyPaths", "BindPaths"];
        let own: Properties = unit.into_iter().filter(|(key, _)| told.contains(key)).collect();
        check(name, &format!("{}\n\n{}\n{}", differs(plan), lines(&own), rest_of_document(plan)));
    };
    unit(&master, "kept-master.txt");
    unit(&Plan { disk: cd, ..desktop_under_kvm() }, "kept-install.txt");
}

#[test]
fn what_the_firmware_and_a_module_remember() {
    let remembers = |folder: &str, tpm: &str, own| {
        let file = |name: &str| Some(Path::new("/srv/machines").join(folder).join(name));
        Plan { nvram: Nvram { variables: file("uefi-secure"), tpm: file(tpm), own }, ..windows() }
    };
    let told = |plan: &Plan| argv(plan).join("\n") + "\n" + &lines(&unit::session(&unit_of(plan, None)));
    let ordinary = told(&windows());
    let mut text = String::new();
    for plan in [remembers(".a.qcow2.17c.nvram", "tpm", false), remembers(".a.qcow2.work/nvram", "module", true)] {
        let now = told(&plan);
        now.lines().filter(|line| !ordinary.contains(line)).for_each(|line| writeln!(text, "+ {line}").unwrap());
        ordinary.lines().filter(|line| !now.contains(line)).for_each(|line| writeln!(text, "- {line}").unwrap());
    }
    check("kept-nvram.txt", &text);
    let starts = |plan: &Plan| rest_of_document(plan).contains("variables.qcow2");
    assert!(starts(&windows()) && !starts(&remembers(".a.qcow2.work/nvram", "module", true)));
}

#[test]
fn units_of_the_timer_and_the_helpers() {
    let id = "abcdefghij".parse().unwrap();
    check("unit-expire.txt", &lines(&unit::expiry(&id, 1_800_003_600, 1_800_000_000)));
    check("unit-examine.txt", &lines(&unit::examination(Path::new("/var/lib/qemu-web-desktop/machines/grub.iso"))));
    check("unit-unpack.txt", &lines(&unit::unpacking(256 << 30, 40 << 30)));
    let to = Path::new("/var/lib/qemu-web-desktop/machines/.a.img.work/disk");
    check("unit-convert.txt", &lines(&unit::conversion(to, 40 << 30, &["--grow=1048576".to_owned()])));
    let parts = Path::new("/var/lib/qemu-web-desktop/machines/.a.img.work/parts");
    let recipe = ["--suite=trixie", "--desktop=xfce", "--size=10G", "--user=user", "--package=gimp"].map(str::to_owned);
    check("unit-build.txt", &lines(&unit::build(parts, &recipe)));
    check("unit-kvm.txt", &lines(&unit::kvm_probe("qemu-system-x86_64", "pc")));
}

#[test]
fn no_path_of_the_host_reaches_qemu() {
    // So no comma in one can become an option, and no guest that breaks out learns of it.
    assert!(!argv(&desktop_under_kvm()).iter().any(|argument| argument.contains("/srv/")));
}
