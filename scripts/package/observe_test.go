package pack

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"cairn/scripts/tool"
)

// TestAlertRules: Prometheus takes the rules, each of them rises in promtool's tests when it should, and none when all
// is well.
func TestAlertRules(t *testing.T) {
	promtool, err := tool.Find("promtool")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "observe/alerts.rules.yaml"}, {"test", "rules", "testdata/alerts.test.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	rules, err := os.ReadFile("observe/alerts.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("testdata/alerts.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !regexp.MustCompile(`alertname(="|: )`+m[1]+`\b`).Match(tests) || strings.Count(string(rules), "alert: "+m[1]+"\n") != 1 {
			t.Errorf("no test raises %s, or it is there twice", m[1])
		}
	}
}
