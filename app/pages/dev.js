// Only in development; see app/src/dev.rs. Loads the page again when another generation of the service answers, and
// shows what is wrong with the code as saved.
"use strict";
{
  const loaded = document.currentScript.dataset.generation;
  // What somebody typed is not thrown away; a form that was refused holds such a thing, too.
  let typed = document.querySelector("[aria-invalid]") !== null;
  addEventListener("input", () => { typed = true; });

  function box(id, role, style) {
    let element = document.getElementById(id);
    if (!element) {
      element = document.createElement("div");
      element.id = id;
      element.setAttribute("role", role);
      Object.assign(element.style, { position: "fixed", boxSizing: "border-box", font: "1rem/1.5 system-ui" }, style);
      document.body.append(element);
    }
    return element;
  }

  function offer() {
    const bar = box("dev-newer", "status", {
      left: 0, right: 0, bottom: 0, zIndex: 998, padding: "0.75rem", textAlign: "center",
      background: "#1f2421", color: "#ffffff",
    });
    const button = document.createElement("button");
    button.textContent = "Reload";
    button.style.marginLeft = "1rem";
    button.addEventListener("click", () => location.reload());
    bar.replaceChildren("A newer version runs", button);
  }

  function show(problem) {
    if (!problem) return document.getElementById("dev-problem")?.remove();
    const text = document.createElement("pre");
    text.textContent = problem;
    const hide = document.createElement("button");
    hide.textContent = "Hide";
    hide.style.marginLeft = "1rem";
    hide.addEventListener("click", () => show(""));
    box("dev-problem", "alert", {
      inset: 0, zIndex: 999, padding: "1.5rem 2rem", overflow: "auto", background: "#1f2421", color: "#ffffff",
    }).replaceChildren("The code as saved has a problem; the version before it goes on serving.", hide, text);
  }

  let events;
  function connect() {
    events?.close();
    events = new EventSource("/_dev/events");
    events.addEventListener("generation", ({ data }) => {
      // If there still is a problem, it follows.
      show("");
      if (data === loaded) return;
      if (typed) offer();
      else location.reload();
    });
    events.addEventListener("problem", ({ data }) => show(JSON.parse(data)));
    // After a stream that ended a browser comes again by itself. Any other answer is that of `cargo xtask dev`, which says
    // why no service runs, and goes when one does.
    events.onerror = () => {
      if (events.readyState !== EventSource.CLOSED || document.hidden) return;
      setTimeout(() => (typed ? connect() : location.reload()), 1000);
    };
  }
  connect();
  // A tab that nobody sees keeps no connection: a browser has six for one host.
  document.addEventListener("visibilitychange", () => (document.hidden ? events.close() : connect()));
}
