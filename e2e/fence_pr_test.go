//go:build amd64

package e2e

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// scsiPath has a machine reach a logical unit by SCSI commands of its own, as the
// initiator of a name.
func scsiPath(id, portal, initiator string) []string {
	return []string{
		"-drive", fmt.Sprintf("id=%s,if=none,format=raw,file.driver=iscsi,file.transport=tcp,file.portal=%s,file.target=%s,file.lun=0,file.initiator-name=%s", id, portal, target, initiator),
		"-device", "scsi-block,drive=" + id,
	}
}

// plainDisk makes an image of a disk with one partition.
func plainDisk(t *testing.T, dir string) string {
	t.Helper()
	b := make([]byte, mib)
	entry := b[446:] // the first of a master boot record
	entry[4] = 0x83  // Linux
	binary.LittleEndian.PutUint32(entry[8:], 8)
	binary.LittleEndian.PutUint32(entry[12:], 1024)
	b[510], b[511] = 0x55, 0xAA
	return write(t, dir, "plain", string(b))
}

func TestTheFenceByReservationsKeepsOneControllerOfALinuxMachineFromWriting(t *testing.T) {
	s := newSingle(t)
	s.configure(t, "state "+s.disk("state"), open(target, fmt.Sprintf("lun 0 { path %s  size 16M }", s.disk("disk"))))
	s.start(t)
	disks := []string{"-device", "virtio-scsi-pci"}
	for i, name := range []string{"a", "b", "c"} {
		disks = append(disks, scsiPath(fmt.Sprint("path", i), s.portal, "iqn.2026-11.test:"+name)...)
	}
	disks = append(disks, "-drive", "id=plain,if=none,format=raw,file="+plainDisk(t, s.dir), "-device", "virtio-blk-pci,drive=plain")
	console := runMachine(t, disks...)
	const tried = 23
	if !strings.Contains(console, fmt.Sprintf("GUEST verdict: all of %d hold", tried)) {
		t.Errorf("the machine did not find that all of %d hold:\n%s", tried, console)
	}
}
