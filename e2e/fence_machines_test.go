//go:build amd64

package e2e

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
)

// machines are two controllers, each in a Linux machine of its own, over one SCSI
// disk whose reservations are the fence. The disk is a logical unit of a third,
// plain, controller; the arbiter is an etcd that runs elsewhere.
type machines struct {
	*pair
	disk *single
	way  *valve             // from one of the machines to the disk
	keys *initiator.Session // for looking at the reservations of the disk
}

// gateway is how a machine reaches that on which QEMU runs.
const gateway = "10.0.2.2"

// guestConfig is the configuration of a controller: mode, id, the peer's id and
// link, the arbiter, the target.
const guestConfig = `
socket /tandem.sock
state /state
ha {
	mode %s  cluster tandem  id %d  listen 10.0.2.15  peer %d %s
	certificate node.pem  key node.key  ca ca.pem
	heartbeat 300ms  lease 3s
	arbiter etcd { endpoint %s }
}
portal-group pg0 { discovery-auth-group no-authentication  listen 10.0.2.15 }
lun data { path /dev/sda  option shared on  option fence pr }
target %s { auth-group no-authentication  portal-group pg0  lun 0 data }
`

// onHost is an address as a machine reaches it.
func onHost(address string) string {
	return gateway + address[strings.LastIndex(address, ":"):]
}

// startMachines starts both and waits until the first one serves and the other is
// a candidate. There is a valve between the disk and the controller of an id.
func startMachines(t *testing.T, mode string, valve int) *machines {
	t.Helper()
	m := &machines{pair: newPair(t), disk: newSingle(t)}
	m.disk.configure(t, "state "+m.disk.disk("state"), open(target, fmt.Sprintf("lun 0 { path %s  size 16M }", m.disk.disk("disk"))))
	m.disk.start(t)
	m.keys = host{"operator", 9}.session(t, m.disk.portal, target)
	client, peer := "http://"+freeAddress(t, "127.0.0.1"), "http://"+freeAddress(t, "127.0.0.1")
	start(t, "etcd", "--name", "external", "--data-dir", filepath.Join(m.dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "external="+peer).
		awaitLine(t, "ready to serve client requests")
	links := map[int]string{1: freeAddress(t, "127.0.0.1"), 2: freeAddress(t, "127.0.0.1")}
	for _, c := range []*controller{m.a, m.b} {
		c.portal = freeAddress(t, "127.0.0.1")
		config := fmt.Sprintf(guestConfig, mode, c.id, 3-c.id, onHost(links[3-c.id]), "http://"+onHost(client), m.target)
		files := []file{{"tandem", readFile(t, tandem)}, {"ctl.conf", []byte(config)}}
		for _, name := range []string{"node.pem", "node.key", "ca.pem"} {
			files = append(files, file{name, readFile(t, filepath.Join(c.dir, name))})
		}
		forward := fmt.Sprintf("user,id=net,hostfwd=tcp:%s-:3260,hostfwd=tcp:%s-:7777", c.portal, links[c.id])
		portal := m.disk.portal
		if c.id == valve {
			m.way = newValve(t, portal)
			portal = m.way.address()
		}
		devices := append([]string{"-netdev", forward, "-device", "virtio-net-pci,netdev=net", "-device", "virtio-scsi-pci"},
			scsiPath("path", portal, fmt.Sprint("iqn.2026-11.test:machine", c.id))...)
		c.process = startMachine(t, files, devices...)
	}
	m.a.awaitLine(t, "grant is now", "1 of {1 2}")
	m.b.awaitLine(t, "route=forward primary=1")
	return m
}

// stopWhileItWrites stops the machine behind the valve when writes of it are past
// every check and on their way to the disk.
func (m *machines) stopWhileItWrites(t *testing.T, c *controller) {
	t.Helper()
	eventually(t, "writes are on their way to the disk", func() bool {
		m.way.hold()
		for range 20 {
			if m.way.held() > 4096 {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		m.way.release() // only reads came: others follow when these are answered
		return false
	})
	c.signal(t, syscall.SIGSTOP)
}

// registered are the ids of the controllers whose keys are on the disk.
func (m *machines) registered(t *testing.T) (ids []int) {
	t.Helper()
	in := make([]byte, 64)
	good(t, m.keys, keysCDB, nil, in)
	n := int(binary.BigEndian.Uint32(in[4:]))
	for ; n >= 8; n -= 8 {
		ids = append(ids, int(in[8+n-1]))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (m *machines) expectKeys(t *testing.T, when string, want ...int) {
	t.Helper()
	if got := m.registered(t); !slices.Equal(got, want) {
		t.Errorf("%s keys of %v are on the disk, expected %v", when, got, want)
	}
}

// The machine of the primary stops in the middle of many writes and goes on when
// another one serves. What it still had under way reaches the disk, which refuses
// it.
func TestAMachineThatIsStoppedWhileItWritesIsFencedByReservationsAndHarmsNothing(t *testing.T) {
	m := startMachines(t, "active-active-forward", 1)
	m.expectKeys(t, "at first", 1)
	disk := m.multipath(t)
	pause := busyWhile(t, disk, func() {
		m.stopWhileItWrites(t, m.a)
		m.b.awaitLine(t, "controller 1 is fenced")
		m.b.awaitLine(t, "route=serve primary=2")
		m.expectKeys(t, "after the takeover", 2)
		time.Sleep(time.Second) // the blocks are written anew meanwhile
		m.way.release()
		m.a.signal(t, syscall.SIGCONT)
		m.a.awaitLine(t, "route=forward primary=2")
	})
	t.Logf("longest pause %v", pause)
	m.a.awaitLine(t, "this controller was fenced")
	m.expectKeys(t, "when the other one has returned", 2)
	m.b.awaitLine(t, "grant is now", "2 of {1 2}")
	// Back by consent, without a fence.
	busyWhile(t, disk, func() {
		setPortGroups(t, m.pair, m.b, m.a)
	})
	m.expectKeys(t, "after the handover", 1, 2)
	if n := countLines(m.a.output.String(), []string{"is fenced"}); n != 0 {
		t.Errorf("a handover has fenced somebody")
	}
}

// In mode 1 the other controller writes too.
func TestInMode1AMachineThatIsStoppedWhileItWritesIsFencedByThePrimary(t *testing.T) {
	m := startMachines(t, "active-active", 2)
	both := func() bool { return slices.Equal(m.registered(t), []int{1, 2}) }
	eventually(t, "both are registered", both)
	disk := m.multipath(t)
	pause := busyWhile(t, disk, func() {
		m.stopWhileItWrites(t, m.b)
		m.a.awaitLine(t, "controller 2 is fenced")
		m.expectKeys(t, "after the secondary was left out", 1)
		time.Sleep(time.Second) // the blocks are written anew meanwhile
		m.way.release()
		m.b.signal(t, syscall.SIGCONT)
		m.b.awaitLine(t, "this controller was fenced")
		m.a.awaitLines(t, 2, "grant is now", "1 of {1 2}")
		eventually(t, "the secondary is registered again", both)
	})
	t.Logf("longest pause %v", pause)
}
