package target_test

import (
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/target"
	"github.com/tandem-san/tandem/scsi"
)

// wire is PDUs as they go over the network.
func wire(pdus ...any) []byte {
	var b []byte
	var o *iscsi.Outgoing
	flush := func() {
		if o != nil {
			b = append(b, slices.Concat(o.AppendTo(nil, iscsi.Digests{})...)...)
		}
	}
	for _, p := range pdus {
		switch p := p.(type) {
		case []byte:
			o.Data = p
		case encoder:
			flush()
			o = new(iscsi.Outgoing)
			p.Encode(o.Header())
		}
	}
	flush()
	return b
}

// survives demands that the server lives after the bytes a client sent: it
// lets a new client in, and nothing of the old one is left.
func (f *fixture) survives(c *client, b []byte) {
	go func() {
		_, _ = c.conn.Write(b)
		_ = c.conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	_, _ = io.Copy(io.Discard, c.conn)
	_ = c.conn.Close()
	eventually(f.t, "the session ends", func() bool { return len(f.Sessions()) == 0 })
	if held := f.pool.Stats().Lent; held != 0 {
		f.t.Fatalf("%d bytes of the pool are still lent", held)
	}
	again := f.connect()
	again.logIn()
	again.ping()
	_ = again.conn.Close()
	eventually(f.t, "the session ends", func() bool { return len(f.Sessions()) == 0 })
}

// forFuzzing is a server that is quick to give up.
func forFuzzing(t testing.TB) *fixture {
	return newFixture(t, func(c *target.Config, o *target.Options) {
		o.Limits = target.Limits{LoginTime: 2 * time.Second, LoginsPerSecond: 1 << 20}
		c.PortalGroups[0].Redirect = netip.AddrPort{}
	})
}

func FuzzLogin(f *testing.F) {
	r := iscsi.LoginRequest{Transit: true, CSG: operational, NSG: fullFeature, ISID: iscsi.ISID{0x80}, InitiatorTaskTag: 1}
	s := r
	s.CSG, s.NSG, s.Transit = security, operational, false
	names := pairs("InitiatorName", initiatorName, "TargetName", targetName)
	f.Add(wire(r, names))
	f.Add(wire(r, pairs("InitiatorName", initiatorName, "SessionType", "Discovery"), iscsi.TextRequest{Final: true, TargetTransferTag: iscsi.NoTag}, pairs("SendTargets", "All")))
	f.Add(wire(s, pairs("InitiatorName", initiatorName, "TargetName", secretName, "AuthMethod", "CHAP"), s, pairs("CHAP_A", "7,5"), s, pairs("CHAP_N", "mutual", "CHAP_R", "0x00", "CHAP_I", "1", "CHAP_C", "0bQUJD")))
	f.Add(wire(r, append(names, pairs("HeaderDigest", "CRC32C", "MaxBurstLength", "0x100000", "X-y", "z", "ErrorRecoveryLevel", "2")...)))
	fx := forFuzzing(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		fx.t = t
		fx.survives(fx.connect(), b)
	})
}

func FuzzFullFeaturePhase(f *testing.F) {
	read := iscsi.SCSICommand{Final: true, Read: true, ExpectedDataTransferLength: 1024, InitiatorTaskTag: 1, CmdSN: 100, Attribute: scsi.AttributeSimple}
	copy(read.CDB[:], read16(0, 2))
	write := iscsi.SCSICommand{Write: true, ExpectedDataTransferLength: 1024, InitiatorTaskTag: 2, CmdSN: 101, Attribute: scsi.AttributeOrdered}
	copy(write.CDB[:], write16(1, 2))
	out := iscsi.DataOut{Final: true, InitiatorTaskTag: 2, TargetTransferTag: iscsi.NoTag, BufferOffset: 512}
	f.Add(wire(read, write, make([]byte, 512), out, make([]byte, 512)))
	f.Add(wire(iscsi.NOPOut{InitiatorTaskTag: 3, TargetTransferTag: iscsi.NoTag, CmdSN: 100}, []byte("ping"), iscsi.TaskRequest{Function: scsi.LogicalUnitReset, InitiatorTaskTag: 4, CmdSN: 101}))
	f.Add(wire(iscsi.TextRequest{Final: true, InitiatorTaskTag: 3, TargetTransferTag: iscsi.NoTag, CmdSN: 100}, pairs("SendTargets", ""), iscsi.LogoutRequest{InitiatorTaskTag: 4, CmdSN: 101}))
	f.Add(wire(iscsi.SNACK{InitiatorTaskTag: 3}, iscsi.TaskRequest{Immediate: true, Function: scsi.AbortTask, ReferencedTaskTag: 2, InitiatorTaskTag: 9}))
	fx := forFuzzing(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		fx.t = t
		c := fx.connect()
		c.logIn("InitialR2T", "No", "MaxBurstLength", "1024", "FirstBurstLength", "1024")
		fx.survives(c, b)
	})
}
