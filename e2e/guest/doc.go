// Command guest is the first process of a Linux virtual machine that a test of
// package e2e starts, and does one of two things.
//
// Where there is a program /tandem it is a controller: it runs that one with the
// configuration /ctl.conf, prints what it prints, and switches the machine off
// when it has ended. The machine has a network card and the SCSI disk sda.
//
// Else it tries the fence "pr" with the ioctls of a real kernel, on disks that are
// logical units of Tandem: sda, sdb and sdc, which are paths of different
// initiators to one logical unit, and vda, a disk without reservations that has a
// partition. It prints a line for each thing it tries, then a verdict, and
// switches the machine off.
//
// The kernel's modules are in /modules, in the order in which they are loaded.
package main
