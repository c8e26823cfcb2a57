package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestInquiryAnswersTheStandardDataAndEveryPage(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, open(target, fmt.Sprintf("lun 0 { path %s  size 64M  serial S-0815 }", s.disk("disk"))))
	s.start(t)
	contains(t, succeed(t, "iscsi-inq", s.url(0)),
		"Peripheral Device Type:DIRECT_ACCESS", "CmdQue:1", "TPGS:3", "HiSup:1", "Vendor:TANDEM", "Version Descriptor:0960 iSCSI")
	for _, page := range []struct {
		code string
		want []string
	}{
		{"0", []string{"0x00 SUPPORTED", "0x80 UNIT_SERIAL_NUMBER", "0x83 DEVICE_ID", "0x85", "0x86", "0x87", "0x88", "0xb0", "0xb1", "0xb2"}},
		{"128", []string{"S-0815"}},
		{"131", []string{"NAA", target + ",t,0x0101", "RELATIVE_TARGET_PORT", "TARGET_PORT_GROUP"}},
		{"176", []string{"maximum unmap lba count:", "maximum transfer length:"}},
		{"177", []string{"Medium Rotation Rate"}},
		{"178", []string{"lbpu:1", "lbpws:1", "provisioning type:2"}},
	} {
		r := run(t, "iscsi-inq", "-e", "1", "-c", page.code, s.url(0))
		if r.code != 0 {
			t.Errorf("page %s: status %d: %s%s", page.code, r.code, r.stdout, r.stderr)
		}
		contains(t, r.stdout, page.want...)
	}
	// iscsi-inq gets these pages too, but cannot print them.
	for _, code := range []string{"133", "134", "135", "136"} {
		contains(t, run(t, "iscsi-inq", "-e", "1", "-c", code, s.url(0)).stderr, "failed to unmarshall")
	}
	contains(t, run(t, "iscsi-inq", "-e", "1", "-c", "200", s.url(0)).stderr, "ILLEGAL_REQUEST", "INVALID_FIELD_IN_CDB")
}

func TestReadCapacitySaysWhatWasConfigured(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, open(target,
		fmt.Sprintf("lun 0 { path %s  size 64M }", s.disk("small")),
		fmt.Sprintf("lun 1 { path %s  size 3T  blocksize 4096 }", s.disk("large"))))
	s.start(t)
	contains(t, succeed(t, "iscsi-readcapacity16", s.url(0)),
		"RETURNED LOGICAL BLOCK ADDRESS:131071\n", "LOGICAL BLOCK LENGTH IN BYTES:512\n", "LBPME:1", "Total size:67108864\n")
	contains(t, succeed(t, "iscsi-readcapacity16", s.url(1)),
		"RETURNED LOGICAL BLOCK ADDRESS:805306367\n", "LOGICAL BLOCK LENGTH IN BYTES:4096\n", "Total size:3298534883328\n")
}

func TestWhatAClientWritesIsInTheFileAndIsReadBack(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	source := randomFile(t, s.dir, "source", 64*mib)
	succeed(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, s.url(0))
	if got, want := md5sum(t, s.disk("disk")), md5sum(t, source); got != want {
		t.Errorf("the file behind the logical unit has MD5 %s, what was written %s", got, want)
	}
	copied := filepath.Join(s.dir, "copy")
	succeed(t, "qemu-img", "dd", "-f", "raw", "-O", "raw", "bs=1M", "if="+s.url(0), "of="+copied)
	if got, want := md5sum(t, copied), md5sum(t, source); got != want {
		t.Errorf("what was read has MD5 %s, what was written %s", got, want)
	}
}

func TestPatternsZeroesAndDiscardsReadAsTheyShould(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	image := "driver=raw,discard=unmap,file.driver=iscsi,file.transport=tcp,file.portal=" + s.portal + ",file.target=" + target + ",file.lun=0"
	qemuIO(t, image, "write -P 0x5a 0 8M", "write -P 0xa5 512 512", "write -P 0x11 63M 1M", "flush",
		"read -P 0x5a 0 512", "read -P 0xa5 512 512", "read -P 0x5a 1k 1M", "read -P 0x11 63M 1M")
	full := allocated(t, s.disk("disk"))
	if full < 9*mib {
		t.Errorf("9 MiB were written, the file has %d bytes allocated", full)
	}
	qemuIO(t, image, "write -z 1M 1M", "write -z -u 4M 1M", "discard 6M 1M",
		"read -P 0 1M 1M", "read -P 0x5a 2M 2M", "read -P 0 4M 1M", "read -P 0x5a 5M 1M", "read -P 0 6M 1M", "read -P 0x5a 7M 1M")
	if left := allocated(t, s.disk("disk")); left > full-2*mib+mib/8 {
		t.Errorf("two times 1 MiB was discarded, the file had %d bytes allocated and has %d", full, left)
	}
}

// allocated is how many bytes of a file have a place on the disk.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestAReadOnlyLogicalUnitIsReadAndNotWritten(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.configure(t, open(target, fmt.Sprintf("lun 0 { path %s  option readonly on }", s.disk("disk"))))
	write(t, s.dir, "disk", strings.Repeat("\x42", mib))
	s.start(t)
	image := "driver=raw,read-only=on,file.driver=iscsi,file.transport=tcp,file.portal=" + s.portal + ",file.target=" + target + ",file.lun=0"
	r := run(t, "qemu-io", "-r", "--image-opts", "-c", "read -P 0x42 0 1M", image)
	if problem := r.problem(); problem != "" {
		t.Errorf("reading: %s", problem)
	}
	if r := tryQemuIO(t, s.url(0), "write -P 1 0 4k"); !strings.Contains(r.problem(), "write protected") {
		t.Errorf("opened for writing: %q, expected that it is write protected", r.problem())
	}
	conforms(t, "ReadOnly", s.url(0))
}

func TestHeaderDigestsAreUsedWhenTheInitiatorWantsThem(t *testing.T) {
	t.Parallel()
	s := serveDisk(t)
	image := "driver=iscsi,transport=tcp,header-digest=crc32c,portal=" + s.portal + ",target=" + target + ",lun=0"
	client := start(t, "qemu-io", "--image-opts", image)
	fmt.Fprintln(client.stdin, "write -P 0x77 0 4M")
	client.awaitLine(t, "wrote 4194304/4194304")
	if sessions := status(t, s.socket).Sessions; len(sessions) != 1 || sessions[0].Digests != "header" {
		t.Errorf("sessions %+v, expected one with a header digest", sessions)
	}
	fmt.Fprintln(client.stdin, "read -P 0x77 0 4M")
	client.awaitLine(t, "read 4194304/4194304")
	client.stdin.Close()
	if code := client.awaitExit(t); code != 0 || strings.Contains(client.output.String(), "fail") {
		t.Errorf("status %d:\n%s", code, client.output)
	}
}

func TestIPv6PortalsServe(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	s.portal = freeAddress(t, "[::1]")
	s.configure(t, open(target, "lun 0 { backend ramdisk  size 16M }"))
	s.start(t)
	contains(t, succeed(t, "iscsi-ls", "iscsi://"+s.portal), "Target:"+target+" Portal:"+s.portal)
	qemuIO(t, s.url(0), "write -P 0x66 0 1M", "read -P 0x66 0 1M")
}

func TestManyLogicalUnitsOfManyTargetsAreKeptApart(t *testing.T) {
	t.Parallel()
	s := newSingle(t)
	var sections []string
	const targets, luns = 4, 4
	for i := range targets {
		var statements []string
		for j := range luns {
			statements = append(statements, fmt.Sprintf("lun %d { backend ramdisk  size 1M }", j))
		}
		sections = append(sections, open(fmt.Sprintf("%s%d", target, i), statements...))
	}
	s.configure(t, sections...)
	s.start(t)
	forEach := func(command string) {
		for i := range targets {
			for j := range luns {
				qemuIO(t, url(s.portal, fmt.Sprintf("%s%d", target, i), j), fmt.Sprintf(command, 1+i*luns+j))
			}
		}
	}
	forEach("write -P %d 0 1M")
	forEach("read -P %d 0 1M")
}
