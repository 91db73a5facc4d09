# Settings of the measurement: the last ones count.
$config{qemu_exec} = "/usr/local/bin/qemu-tcg";
$config{boot_delay} = 5;
$config{service_max_load} = 1000;
$config{service_max_session_nb} = 600;
$config{service_max_session_nb_per_user} = 1000;
$config{service_max_cpu_fraction_nb_per_user} = 1000;
$config{service_max_mem_fraction_nb_per_user} = 1000;
1;
