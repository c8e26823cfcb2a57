package ctlconf

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const hush = "hush-hush-hush"

func TestASecretIsNeverPrinted(t *testing.T) {
	c, d := Parse("f", []byte(`auth-group ag0 { chap user `+hush+` } auth-group ag1 { chap-mutual a `+hush+` b other-secret }
		target iqn.2026-01.com.example:a { chap user `+hush+` }`))
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	group := c.AuthGroup("ag0")
	if got := group.CHAP[0].Secret.Reveal(); got != hush {
		t.Fatalf("secret is %q", got)
	}
	var printed []string
	type wrapper struct{ inner CHAP } // reached by reflection only
	for _, v := range []any{group.CHAP[0].Secret, &group.CHAP[0].Secret, group.CHAP, *group, group, *c.Targets[0], *c, wrapper{group.CHAP[0]}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		printed = append(printed, string(encoded), log.String())
	}
	for _, s := range printed {
		if strings.Contains(s, hush) || strings.Contains(s, fmt.Sprintf("%x", hush)) {
			t.Errorf("printed %s", s)
		}
	}
}

func TestSecretsOfEqualFilesAreDeeplyEqual(t *testing.T) {
	if !reflect.DeepEqual(NewSecret(hush), NewSecret(hush)) || reflect.DeepEqual(NewSecret(hush), NewSecret("other")) {
		t.Error("secrets do not compare by what they hold")
	}
	var none Secret
	if none.IsSet() || none.Reveal() != "" || !NewSecret("").IsSet() {
		t.Error("the zero Secret is not none")
	}
}

// TestNoMessageRepeatsASecret puts a credential among all kinds of debris: as
// long as it stands on one line behind its keyword, no message repeats it.
func TestNoMessageRepeatsASecret(t *testing.T) {
	debris := []string{
		"{", "}", ";", "\n", `"`, "#", "auth-group", "ag0", "portal-group", "target", "iqn.2026-01.com.example:a", "lun", "0",
		"option", "path", "alias", "listen", "10.0.0.1", "ha", "peer", "member", "arbiter", "embedded", "word", "\x01", "\xff",
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom(debris), 0, 12)
		credential := rapid.SampledFrom([]string{
			"chap user %s", `chap "user" "%s"`, "chap %s", "chap user user %s", "chap user } %s", "chap user { %s", `chap user "%s`, `chap user x"%s"`,
			"chap user \x01%s", "chap-mutual user %s user %s", "chap-mutual user user user user %s",
		}).Draw(t, "credential")
		src := strings.Join(words.Draw(t, "before"), " ") + "\n" + strings.ReplaceAll(credential, "%s", hush) + "\n" +
			strings.Join(words.Draw(t, "after"), " ")
		_, d := Parse("f", []byte(src))
		for _, each := range append(d.Errors, d.Warnings...) {
			if strings.Contains(each.Message, "hush") {
				t.Fatalf("%s\n%s", src, each)
			}
		}
	})
}
