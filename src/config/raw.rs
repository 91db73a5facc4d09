//! Every setting with its default, as it is written in TOML.
//!
//! The defaults are this type's `Default`; the known keys are found by writing that out, so a
//! setting is declared once, here. Limits keep the names they have in `config.pl`.

use serde::{Deserialize, Serialize};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty),+ }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
}

section! {
    /// The whole of `config.toml`.
    Raw {
        /// Where people reach the service, as `https://desktops.example.org`; empty: by the host's name.
        public_url: String = String::new(),
        /// Who may have how much.
        limits: Limits = Limits::default(),
        /// What a session gets.
        session: Session = Session::default(),
        /// How QEMU is run.
        qemu: Qemu = Qemu::default(),
        /// What a guest may reach.
        network: Network = Network::default(),
        /// Where things lie.
        paths: Paths = Paths::default(),
        /// How machines are fetched.
        download: Download = Download::default(),
        /// What the pages show and offer.
        page: Page = Page::default(),
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Sessions at the same time, of everybody together.
        service_max_session_nb: u32 = 10,
        /// Sessions at the same time, of one person.
        service_max_session_nb_per_user: u32 = 3,
        /// Share of the host's CPUs that one person's sessions may have together, 0 to 1.
        service_max_cpu_fraction_nb_per_user: f64 = 0.3,
        /// Share of the host's memory that one person's sessions may have together, 0 to 1.
        service_max_mem_fraction_nb_per_user: f64 = 0.3,
        /// Load of the host above which nothing new starts; 1 is all CPUs busy.
        service_max_load: f64 = 0.8,
        /// Virtual CPUs given out together, as a multiple of the host's CPUs.
        cpu_overcommit: f64 = 4.0,
    }
}

section! {
    /// `[session]`
    Session {
        /// CPUs where nothing else is asked for.
        cpus: u32 = 1,
        /// Memory where nothing else is asked for.
        memory: String = "1G".into(),
        /// The least memory a session can have.
        memory_min: String = "128M".into(),
        /// Lifetime where nothing else is asked for.
        lifetime: String = "1d".into(),
        /// The longest a session can be made to live, extensions included; "0": without end.
        snapshot_lifetime: String = "4d".into(),
        /// How long a guest may take to shut down before it is cut off.
        stop_grace: String = "30s".into(),
        /// Size of the empty disk beside a machine that is an ISO image.
        snapshot_alloc_disk: String = "10G".into(),
    }
}

section! {
    /// `[qemu]`
    Qemu {
        /// "auto", "kvm" or "tcg".
        accel: String = "auto".into(),
        /// The emulator.
        qemu_exec: String = "qemu-system-x86_64".into(),
        /// The graphics card: "std", "virtio", "qxl" or "vmware".
        qemu_video: String = "std".into(),
        /// Size of TCG's buffer of translated code, in MiB.
        tb_size: u32 = 128,
        /// Memory of QEMU itself on top of the guest's, in MiB.
        overhead: u32 = 256,
        /// CPU time a session may use, in percent of one CPU for each virtual CPU.
        cpu_quota: u32 = 100,
    }
}

section! {
    /// `[network]`
    Network {
        /// "user" (a way out, none to the host) or "none".
        mode: String = "user".into(),
        /// Name server for the guests; empty: the host's own.
        dns: String = String::new(),
    }
}

section! {
    /// `[paths]`
    Paths {
        /// The machines' images.
        dir_machines: String = "/var/lib/qemu-web-desktop/machines".into(),
        /// Sessions' disks; empty: the private /var/tmp of each session's unit.
        dir_snapshots: String = String::new(),
    }
}

section! {
    /// `[download]`
    Download {
        /// A proxy for downloads, before http_proxy and https_proxy of the environment.
        service_proxy: String = String::new(),
        /// Seconds without a byte after which a download is given up.
        timeout: u32 = 60,
    }
}

section! {
    /// `[page]`
    Page {
        /// Name of the service.
        title: String = "Virtual desktops".into(),
        /// A sentence or two on the first page.
        welcome: String = "Pick a machine and work on its desktop, here in your browser.".into(),
        /// What must be agreed to; plain text, an empty line begins a paragraph.
        terms: String = "Use these machines for the work you are entitled to do here. A machine and everything on its disk is removed for good when its session ends: save your work elsewhere first. The administrators may end sessions when the service needs it.".into(),
        /// An image of the site, as a path or URL of the same server.
        logo: String = String::new(),
        /// A style sheet of the site, loaded after ours.
        stylesheet: String = String::new(),
        /// CPUs on offer.
        cpus: Vec<u32> = vec![1, 2, 4],
        /// Memory on offer.
        memory: Vec<String> = ["1G", "2G", "4G"].map(String::from).into(),
        /// Lifetimes on offer.
        lifetime: Vec<String> = ["12h", "1d", "2d", "3d"].map(String::from).into(),
        /// The machine that is picked to begin with; empty: the first.
        machine: String = String::new(),
    }
}
