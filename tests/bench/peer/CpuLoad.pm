# Stands in for the module that tells the load of the machine, which is not this bed's alone.
package Sys::CpuLoad;
sub load { return (0, 0, 0) }
1;
