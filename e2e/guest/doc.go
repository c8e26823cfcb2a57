// Command guest is the first and only process of a Linux virtual machine, which
// a test of package e2e starts: it tries the fence "pr" with the ioctls of a real
// kernel on disks that are logical units of Tandem. It prints a line for each
// thing it tries, then a verdict, and switches the machine off.
//
// The machine has three SCSI disks sda, sdb and sdc, which are paths of
// different initiators to one logical unit, and vda, a disk without reservations
// that has a partition. The kernel's modules are in /modules, in the order in
// which they are loaded.
package main
