package report

// style is the page's own style sheet: black on white, in fonts that every
// system has, for a screen of any width and for paper. Nothing is told by colour.
const style markup = `
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 3rem;max-width:62rem;background:#fff;color:#000;font:1rem/1.5 Georgia,"Times New Roman",Times,serif;overflow-wrap:anywhere}
th,.k{overflow-wrap:normal}
h1,h2,h3,th,.sans,figcaption,svg text,summary,nav{font-family:system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
h1{font-size:1.05rem;font-weight:600;margin:0}
h2{font-size:1.25rem;line-height:1.25;margin:2.4rem 0 .6rem;padding-top:.5rem;border-top:2px solid #000}
h3{font-size:1rem;margin:1.4rem 0 .4rem}
p{margin:.5rem 0}
p,li,td,dd,q{unicode-bidi:plaintext}
header p{margin:.1rem 0;font-size:.85rem}
.answer{margin:1rem 0 1.2rem;padding:1rem 1.2rem;border:4px solid #000}
.answer.refused{border-width:10px;border-style:double}
.answer.unchecked{border-style:dashed}
.answer .word{font:700 1.6rem/1.2 system-ui,"Segoe UI",Helvetica,Arial,sans-serif;letter-spacing:.02em;margin:0 0 .4rem}
.answer .first{font-size:1.2rem;line-height:1.4;margin:0}
.answer p+p.more{margin-top:.6rem}
.warn{border-left:6px double #000;padding:.2rem 0 .2rem .8rem;margin:.8rem 0}
.small,.note{font-size:.9em}
.note{margin:.4rem 0 .8rem}
.levels{display:flex;flex-wrap:wrap;gap:.3rem;padding:0;margin:.8rem 0 .2rem;list-style:none;font:.8rem/1.3 system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
.levels li{flex:1 1 7rem;border:1px solid #777;padding:.3rem .45rem}
.levels li b{display:block}
.levels li.at{border:3px solid #000}
table{border-collapse:collapse;width:100%;margin:.4rem 0 .8rem;font-size:.9rem;line-height:1.38}
th,td{text-align:left;vertical-align:top;padding:.28rem .5rem .28rem 0;border-bottom:1px solid #bbb}
thead th{border-bottom:2px solid #000;font-size:.88em}
tbody th{font-size:.9em;font-weight:600}
table.facts th{width:11.5rem}
td.n{white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.k{white-space:nowrap}
code,.hash,pre{font:.8em/1.5 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.hash{word-spacing:-.15em}
pre{white-space:pre-wrap;border:1px solid #bbb;padding:.5rem .7rem;margin:.4rem 0}
.scroll{overflow-x:auto}
ul.not{padding-left:1.3rem;margin:.3rem 0}
ul.not li{margin:.35rem 0}
.boxed{border:2px solid #000;padding:.1rem 1rem .5rem;margin:.6rem 0}
.mark{font-family:system-ui,"Segoe UI Symbol","DejaVu Sans",sans-serif;white-space:nowrap;font-weight:600}
figure{margin:1rem 0;overflow-x:auto}
figure svg{display:block;width:100%;min-width:40rem;height:auto}
figcaption{font-size:.9rem;font-weight:600;margin-bottom:.3rem}
svg.defs{position:absolute}
svg text{font-size:14.5px;fill:#000}
svg text.n{font-size:13px}
svg text.m{font-size:13px;font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:3px}
svg text.y{font-size:13px}
svg path{fill:none;stroke:#000}
svg .g{stroke:#d0d0d0;stroke-width:1}
svg .a,svg .t{stroke-width:1.3}
svg .d{stroke:#999;stroke-dasharray:1 3}
svg .l{stroke-width:1.6;stroke-dasharray:9 5}
svg .w{stroke:#333;stroke-width:1.2;stroke-dasharray:2 3}
svg .v{stroke-width:1.5;stroke-linejoin:round}
svg .v.z{stroke-width:1}
svg rect.s{stroke:#777;stroke-width:.6}
svg circle{fill:#000}
svg pattern path{stroke:#555}
details{margin:.5rem 0}
summary{cursor:pointer;font-size:.9rem}
summary:focus-visible{outline:3px solid #000;outline-offset:2px}
ol.roots{columns:2;column-gap:1.5rem;font:.68rem/1.45 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;list-style:none;padding:0;margin:.4rem 0}
td.v{min-width:11rem}
@media (max-width:44rem){
.levels li{flex-basis:100%}
body{padding:.8rem .8rem 2rem}
table.facts,table.facts tbody,table.facts tr,table.facts th,table.facts td,table.steps,table.steps tbody,table.steps tr,table.steps td{display:block;width:auto;border:0;padding:0}
table.facts tr,table.steps tr{border-bottom:1px solid #bbb;padding:.35rem 0}
table.steps thead{display:none}
ol.roots{columns:1}
.answer .first{font-size:1.08rem}
}
@media print{
body{max-width:none;padding:0;font-size:10pt;line-height:1.4}
h2{break-after:avoid;margin-top:1.5rem}
h3,figcaption,thead,caption{break-after:avoid}
tr,li,figure,.answer,.levels,.keep{break-inside:avoid}
section.page{break-before:page}
h2+p{break-after:avoid}
thead{display:table-header-group}
table{font-size:8.6pt;line-height:1.32}
.scroll{overflow:visible}
td.v{min-width:0}
.levels{display:table;width:100%;border-spacing:2pt 0}
.levels li{display:table-cell;width:20%;font-size:7.6pt}
.page .hash,ol.roots{font-size:6.6pt}
figure{overflow:visible}
figure svg{min-width:0}
details:not([open]) summary{list-style:none}
p{orphans:3;widows:3}
}
`

// paper is the style sheet that puts words at the head and foot of each printed
// page. It is of the size of the reader's paper. The words are constants of this
// package and digits.
func paper(answer markup, digest string) markup {
	return `
@page{margin:20mm 16mm 18mm;
@top-left{content:"Cairn verification report";font:8pt Helvetica,Arial,sans-serif}
@top-right{content:"` + answer + `";font:700 8pt Helvetica,Arial,sans-serif}
@bottom-left{content:"of the file with SHA-256 ` + digits(digest) + `";font:7pt Helvetica,Arial,sans-serif}
@bottom-right{content:counter(page) " of " counter(pages);font:8pt Helvetica,Arial,sans-serif}}
`
}

// digits returns a hash's digits as markup: nothing else passes.
func digits(hex string) markup {
	for _, r := range hex {
		if !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') {
			return ""
		}
	}
	return markup(hex)
}
