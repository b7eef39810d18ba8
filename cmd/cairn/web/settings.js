// The configuration's check, and for an admin who may log in.

import { get, del } from "./api.js";
import { h, section, state, time, table, nothing, facts, say } from "./dom.js";

export async function settings(ctx) {
  const [check, users, tokens] = await Promise.all([ctx.is("operator") ? get("/check") : null, ctx.is("admin") ? get("/users") : null, ctx.is("admin") ? get("/tokens") : null]);
  return {
    title: "Settings",
    body: [
      h("div", { class: "title" }, h("h1", {}, "Settings")),
      section("You", h("div", { class: "card" }, facts([["Name", ctx.me.name], ["Role", ctx.me.role]]), h("p", { class: "soft small" }, "Another password: ", h("code", {}, "cairn user password NAME"), " on the gateway."))),
      check && section("Configuration",
        check.ok ? h("p", { class: "note good" }, "The configuration in the folder is in order.") : h("div", { class: "note bad" }, h("p", {}, h("strong", {}, "The service would not start with the configuration that is in the folder now:")), h("ul", {}, check.problems.map(p => h("li", {}, p)))),
        check.facts.length > 0 && h("ul", { class: "card" }, check.facts.map(f => h("li", {}, f))),
        h("p", {}, h("button", { type: "button", id: "again", class: "quiet small", onclick: () => ctx.again() }, "Check again"))),
      !check && h("p", { class: "soft" }, "An operator may check the configuration, an admin sees who may log in."),
      users && section("Users", table("They are added on the gateway: cairn user add", [["User", u => u.name], ["Role", u => u.role === "audience" ? `the audience ${u.audience}` : u.role], ["Added", u => time(u.added)],
        ["", u => u.name !== ctx.me.name && ender(ctx, "End this login", `/users/${encodeURIComponent(u.name)}`)]], users)),
      tokens && section("API tokens", tokens.length ? table("They are made on the gateway: cairn token add", [["Token", t => t.name], ["Scope", t => t.scope], ["Until", t => [time(t.until), " ", new Date(t.until) < Date.now() && state("silent", "Over")]],
        ["", t => ender(ctx, "Revoke", `/tokens/${encodeURIComponent(t.name)}`)]], tokens) : nothing("There is none: cairn token add makes one.")),
    ],
  };
}

// ender is a button that asks once more before it ends something.
function ender(ctx, word, path) {
  let sure = false;
  const button = h("button", { type: "button", class: "quiet small", onclick: async () => {
    if (!sure) {
      sure = true;
      button.textContent = "Really?";
      button.classList.replace("quiet", "danger");
      return;
    }
    button.disabled = true;
    try {
      await del(path);
      say("Done");
      ctx.again();
    } catch (e) {
      button.replaceWith(h("span", { class: "note bad", role: "alert" }, e.message));
    }
  }, onblur: () => {
    sure = false;
    button.textContent = word;
    button.classList.replace("danger", "quiet");
  } }, word);
  return button;
}
