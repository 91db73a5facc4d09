//! What is generated, held line by line: QEMU's arguments and the unit's properties.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what comes out now; read the difference.

use qwd::config::{Catalogue, Settings};
use qwd::model::{Bytes, Format, Lifetime};
use qwd::policy;
use qwd::unit::{self, Properties};
use qwd::vm::{
    Accel, Backing, Chipset, DescriptorKind, Hardware, HostSide, Identity, Network, Nvram, Shape, StartDocument, Vm,
};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

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

fn iso_under_tcg() -> Vm {
    let shape = Shape {
        machine_type: "pc-i440fx-7.2".into(),
        hardware: hardware(""),
        accel: Accel::Tcg(Bytes(128 << 20)),
        cpus: 1,
        memory: Bytes(1 << 30),
        backing: Backing::Empty { cd: "/var/lib/qemu-web-desktop/machines/grub.iso".into() },
        disk_size: Bytes(10 << 30),
        nvram: Nvram::default(),
        network: Network::None,
    };
    let host = HostSide {
        disk_file: None,
        file_max: Some(Bytes(20 << 30)),
        overhead: Bytes(256 << 20),
        cpu_quota: 100,
        stop_grace: Lifetime(30),
        closed: None,
        resolv_conf: None,
    };
    let identity = Identity::of(&"abcdefghij".parse().unwrap());
    Vm { machine: "grub.iso".parse().unwrap(), shape, identity, host }
}

fn desktop_under_kvm() -> Vm {
    let shape = Shape {
        accel: Accel::Kvm,
        cpus: 4,
        memory: Bytes(4 << 30),
        hardware: hardware("video=virtio"),
        backing: Backing::Image { path: "/srv/Debian 12, \"x\".qcow2".into(), format: Format::Qcow2 },
        ..iso_under_tcg().shape
    };
    let machine = "Debian 12 (desktop).qcow2".parse().unwrap();
    on_network(Network::User, Vm { machine, shape, ..iso_under_tcg() })
}

fn on_network(network: Network, vm: Vm) -> Vm {
    let own = [("192.0.2.7".parse().unwrap(), 24), ("2001:db8::7".parse().unwrap(), 64)];
    let closed = || policy::closed(&own, &["192.168.7.0/24".parse().unwrap()], Some([10, 9, 9, 53].into()));
    let user = network == Network::User;
    let host = HostSide {
        closed: user.then(closed),
        resolv_conf: user.then(|| "/run/qemu-web-desktop/resolv/10.9.9.53".into()),
        ..vm.host
    };
    Vm { shape: Shape { network, ..vm.shape }, host, ..vm }
}

fn with_disk_at(disk_file: &str, vm: Vm) -> Vm {
    Vm { host: HostSide { disk_file: Some(disk_file.into()), ..vm.host }, ..vm }
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
    check("argv-iso-tcg.txt", &(iso_under_tcg().argv().join("\n") + "\n"));
}

#[test]
fn arguments_of_a_desktop_under_kvm() {
    check("argv-qcow2-kvm.txt", &(desktop_under_kvm().argv().join("\n") + "\n"));
}

fn with(keys: &str, vm: Vm) -> Vm {
    let hardware = hardware(keys);
    let nvram = Nvram { variables_size: hardware.firmware().files().map(|_| Bytes(540_672)), ..vm.shape.nvram };
    let machine_type = match hardware.board.chipset {
        Chipset::Pc => "pc-i440fx-7.2",
        Chipset::Q35 => "pc-q35-7.2",
        Chipset::Virt => "virt-7.2",
    };
    Vm { shape: Shape { machine_type: machine_type.into(), hardware, nvram, ..vm.shape }, ..vm }
}

fn windows() -> Vm {
    with("os=windows\nfirmware=uefi-secure\ntpm=yes", desktop_under_kvm())
}

fn arm() -> Vm {
    with("architecture=aarch64", iso_under_tcg())
}

#[test]
fn arguments_for_windows() {
    check("argv-windows-kvm.txt", &(windows().argv().join("\n") + "\n"));
    check("argv-windows-tcg.txt", &(with("os=windows", iso_under_tcg()).argv().join("\n") + "\n"));
}

#[test]
fn arguments_of_another_architecture() {
    check("argv-aarch64-tcg.txt", &(arm().argv().join("\n") + "\n"));
}

/// Of each choice only what differs from an ordinary machine.
#[test]
fn arguments_of_every_choice() {
    let mut text = String::new();
    for (keys, vm) in [
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
        let usual = with("", vm.clone()).argv();
        writeln!(text, "{}", keys.replace('\n', " ")).unwrap();
        let chosen = with(keys, vm).argv();
        chosen.iter().filter(|line| !usual.contains(line)).for_each(|line| writeln!(text, "    + {line}").unwrap());
        usual.iter().filter(|line| !chosen.contains(line)).for_each(|line| writeln!(text, "    - {line}").unwrap());
    }
    check("argv-choices.txt", &text);
}

/// The document without QEMU's arguments, which others hold.
fn rest_of_document(vm: &Vm) -> String {
    let document = StartDocument { qemu: Vec::new(), ..vm.document() };
    serde_json::to_string(&document).unwrap() + "\n"
}

#[test]
fn documents_of_starts() {
    let bridge = on_network(Network::Bridge, desktop_under_kvm());
    let all = [iso_under_tcg(), windows(), bridge].map(|vm| rest_of_document(&vm));
    check("documents.txt", &all.concat());
    assert_eq!(windows().document().qemu, windows().argv());
}

#[test]
fn unit_of_windows_with_firmware_and_tpm() {
    check("unit-windows-kvm.txt", &lines(&windows().unit()));
}

#[test]
fn unit_of_an_iso_without_a_network() {
    check("unit-iso-tcg.txt", &lines(&iso_under_tcg().unit()));
}

#[test]
fn unit_of_a_desktop_with_a_network_and_a_disk_outside() {
    let vm = with_disk_at("/srv/disks/abcdefghij/disk.qcow2", desktop_under_kvm());
    check("unit-qcow2-kvm.txt", &lines(&vm.unit()));
}

#[test]
fn unit_and_arguments_of_a_desktop_on_a_bridge_differ_only_by_the_network() {
    let (user, bridge) = (desktop_under_kvm(), on_network(Network::Bridge, desktop_under_kvm()));
    let mut text = String::new();
    for (before, after) in
        [(user.argv().join("\n"), bridge.argv().join("\n")), (lines(&user.unit()), lines(&bridge.unit()))]
    {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (lines(&before), lines(&after));
        after.iter().filter(|line| !before.contains(line)).for_each(|line| writeln!(text, "+ {line}").unwrap());
        before.iter().filter(|line| !after.contains(line)).for_each(|line| writeln!(text, "- {line}").unwrap());
    }
    check("bridge.txt", &text);
    assert_eq!(bridge.document().descriptors.last().unwrap().kind, DescriptorKind::Tap);
}

#[test]
fn unit_of_a_network_card() {
    let (id, bridge) = ("abcdefghij".parse().unwrap(), "br0".parse().unwrap());
    check("unit-tap.txt", &lines(&unit::tap(&id, &bridge, true)));
    assert!(!lines(&unit::tap(&id, &bridge, false)).contains("isolated"));
}

#[test]
fn a_disk_that_is_kept_and_an_installation() {
    let backed_by = |backing| {
        let vm = with_disk_at("/var/lib/qemu-web-desktop/machines/.a.qcow2.work/disk", desktop_under_kvm());
        Vm { shape: Shape { backing, ..vm.shape }, ..vm }
    };
    let ordinary = desktop_under_kvm().argv();
    let differs = |vm: &Vm| vm.argv().into_iter().filter(|a| !ordinary.contains(a)).collect::<Vec<_>>().join("\n");
    let unit = |vm: &Vm, name| {
        let own: Properties =
            vm.unit().into_iter().filter(|(key, _)| ["BindReadOnlyPaths", "BindPaths"].contains(key)).collect();
        check(name, &format!("{}\n\n{}\n{}", differs(vm), lines(&own), rest_of_document(vm)));
    };
    unit(&backed_by(Backing::Own), "kept-master.txt");
    unit(&backed_by(Backing::Install { cd: "/srv/install.iso".into() }), "kept-install.txt");
}

#[test]
fn what_the_firmware_and_a_module_remember() {
    let remembers = |directory: &str, tpm: &str, own| {
        let file = |name: &str| Some(Path::new("/srv/machines").join(directory).join(name));
        let vm = windows();
        let nvram = Nvram { variables: file("uefi-secure"), tpm: file(tpm), own, ..vm.shape.nvram };
        Vm { shape: Shape { nvram, ..vm.shape }, ..vm }
    };
    let all = |vm: &Vm| vm.argv().join("\n") + "\n" + &lines(&vm.unit());
    let ordinary = all(&windows());
    let mut text = String::new();
    for vm in [remembers(".a.qcow2.17c.nvram", "tpm", false), remembers(".a.qcow2.work/nvram", "module", true)] {
        let now = all(&vm);
        now.lines().filter(|line| !ordinary.contains(line)).for_each(|line| writeln!(text, "+ {line}").unwrap());
        ordinary.lines().filter(|line| !now.contains(line)).for_each(|line| writeln!(text, "- {line}").unwrap());
    }
    check("kept-nvram.txt", &text);
    let starts = |vm: &Vm| rest_of_document(vm).contains("variables.qcow2");
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
    check("unit-machine-type.txt", &lines(&unit::machine_probe("qemu-system-x86_64", "pc")));
}

#[test]
fn no_path_of_the_host_reaches_qemu() {
    // So no comma in one can become an option, and no guest that breaks out learns of it.
    assert!(!desktop_under_kvm().argv().iter().any(|argument| argument.contains("/srv/")));
}
