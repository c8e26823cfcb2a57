package ctlconf

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// TestEveryOptionSetsWhatItNames has a line for each option of the table.
func TestEveryOptionSetsWhatItNames(t *testing.T) {
	tests := map[string]struct {
		value string
		get   func(LUNOptions) any
		want  any
	}{
		"avail-threshold":    {"1G", func(o LUNOptions) any { return o.AvailThreshold }, 1 << 30},
		"used-threshold":     {"2G", func(o LUNOptions) any { return o.UsedThreshold }, 2 << 30},
		"capacity":           {"2M", func(o LUNOptions) any { return o.Capacity }, 2 << 20},
		"eui":                {"0x0200456789abcdef", func(o LUNOptions) any { return fmt.Sprintf("%x", o.EUI) }, "0200456789abcdef"},
		"failback":           {"on", func(o LUNOptions) any { return o.Failback }, true},
		"failback_hold":      {"90s", func(o LUNOptions) any { return o.FailbackHold }, "1m30s"},
		"fence":              {`"exec /sbin/off a  b"`, func(o LUNOptions) any { return o.Fence }, "exec /sbin/off a  b"},
		"formfactor":         {"3", func(o LUNOptions) any { return o.FormFactor }, 3},
		"ha_role":            {"secondary", func(o LUNOptions) any { return o.Role }, "secondary"},
		"ident_info":         {"0x616263", func(o LUNOptions) any { return string(o.IdentInfo) }, "abc"},
		"naa":                {"0x60015178f369f09360015178f369f093", func(o LUNOptions) any { return fmt.Sprintf("%x", o.NAA) }, "60015178f369f09360015178f369f093"},
		"pblockoffset":       {"512", func(o LUNOptions) any { return o.PhysicalBlockOffset }, 512},
		"pblocksize":         {"4K", func(o LUNOptions) any { return o.PhysicalBlockSize }, 4096},
		"product":            {`"A DISK"`, func(o LUNOptions) any { return o.Product }, "A DISK"},
		"provisioning_type":  {"resource", func(o LUNOptions) any { return o.ProvisioningType }, "resource"},
		"readcache":          {"off", func(o LUNOptions) any { return o.ReadCache }, false},
		"readonly":           {"on", func(o LUNOptions) any { return o.ReadOnly }, true},
		"reftemperature":     {"70", func(o LUNOptions) any { return o.ReferenceTemperature }, 70},
		"removable":          {"on", func(o LUNOptions) any { return o.Removable }, true},
		"temperature":        {"41", func(o LUNOptions) any { return o.Temperature }, 41},
		"reordering":         {"unrestricted", func(o LUNOptions) any { return o.Unrestricted }, true},
		"revision":           {"0401", func(o LUNOptions) any { return o.Revision }, "0401"},
		"rpm":                {"7200", func(o LUNOptions) any { return o.RPM }, 7200},
		"scsiname":           {"iqn.2026-01.com.example:a,lun,0", func(o LUNOptions) any { return o.SCSIName }, "iqn.2026-01.com.example:a,lun,0"},
		"serseq":             {"read", func(o LUNOptions) any { return []bool{o.SerializeReads, o.SerializeWrites} }, "[true false]"},
		"shared":             {"off", func(o LUNOptions) any { return o.Shared }, false},
		"text_ident_info":    {`"größe"`, func(o LUNOptions) any { return o.TextIdentInfo }, "größe"},
		"ublockoffset":       {"512", func(o LUNOptions) any { return o.UnmapBlockOffset }, 512},
		"ublocksize":         {"1M", func(o LUNOptions) any { return o.UnmapBlockSize }, 1 << 20},
		"unmap":              {"off", func(o LUNOptions) any { return o.Unmap }, false},
		"unmap_max_descr":    {"64", func(o LUNOptions) any { return o.UnmapMaxDescriptors }, 64},
		"unmap_max_lba":      {"0xffffffff", func(o LUNOptions) any { return o.UnmapMaxLBA }, 1<<32 - 1},
		"uuid":               {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", func(o LUNOptions) any { return fmt.Sprintf("%x", o.UUID) }, "6ba7b8109dad11d180b400c04fd430c8"},
		"vendor":             {"TANDEM", func(o LUNOptions) any { return o.Vendor }, "TANDEM"},
		"write_same_max_lba": {"8G", func(o LUNOptions) any { return o.WriteSameMaxLBA }, 8 << 30},
		"writecache":         {"off", func(o LUNOptions) any { return o.WriteCache }, false},
	}
	for _, name := range slices.Sorted(maps.Keys(lunOptions)) {
		test, ok := tests[name]
		if !ok {
			t.Errorf("option %s has no test", name)
			continue
		}
		backend := "path /a"
		switch name {
		case "capacity":
			backend = "backend ramdisk size 1M"
		case "pblockoffset":
			backend += " option pblocksize 4096"
		case "ublockoffset":
			backend += " option ublocksize 4096"
		}
		c := parse(t, fmt.Sprintf("lun a { %s option %s %s }", backend, name, test.value))
		if got := fmt.Sprint(test.get(c.LUN("a").Options)); got != fmt.Sprint(test.want) {
			t.Errorf("option %s %s gives %s, expected %v", name, test.value, got, test.want)
		}
	}
}

func TestWordsOfTheGrammarAreThoseOfString(t *testing.T) {
	c := parse(t, `
		auth-group a { auth-type none } auth-group b { auth-type deny } auth-group c { chap u twelve-chars } auth-group d { chap-mutual u twelve-chars v chars-twelve }
		portal-group a { listen 10.0.0.1 discovery-filter portal dscp ef } portal-group b { listen 10.0.0.2 discovery-filter portal-name-auth dscp 10 }
		lun a { path /a option fence pr } lun b { backend ramdisk size 1M option fence "process /run/%d.pid" }`)
	h := parse(t, `ha { cluster c id 1 mode 0 role 1 listen 10.0.0.1 peer 2 10.0.0.2 certificate /c key /k ca /a arbiter none }`).HA
	a, b := c.LUN("a"), c.LUN("b")
	got := fmt.Sprint(c.AuthGroup("a").Type, c.AuthGroup("b").Type, c.AuthGroup("c").Type, c.AuthGroup("d").Type,
		c.PortalGroup("a").DiscoveryFilter, c.PortalGroup("b").DiscoveryFilter, c.PortalGroup("a").DSCP, c.PortalGroup("b").DSCP,
		a.Backend, b.Backend, a.Options.Fence, b.Options.Fence, b.Options.Fence.Kind, h.Mode, h.Role, h.Arbiter.Kind)
	if want := "none deny chap chap-mutual portal portal-name-auth 46 10 block ramdisk pr process /run/%d.pid process active-standby secondary none"; got != want {
		t.Errorf("%s\nexpected\n%s", got, want)
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	if c := parse(t, "\uFEFFdebug 3\r\n"); c.Debug != 3 {
		t.Errorf("debug %d", c.Debug)
	}
}
