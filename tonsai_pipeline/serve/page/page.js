// One model, one conversation: asks /v1/chat/completions (a base model: /v1/completions) and shows the stream.
"use strict";

const find = (id) => document.getElementById(id);
let model = {id: "", tonsai: {takes_turns: true}};
let turns = [];
let running = null;

function add(kind, text) {
  const box = document.createElement(kind === "note" || kind === "bad" ? "p" : "article");
  box.className = kind === "bad" ? "note bad" : kind;
  // Text, never markup, whatever a model writes.
  const said = document.createElement("span");
  said.textContent = text;
  box.append(said);
  find("talk").append(box);
  box.scrollIntoView({block: "end"});
  return said;
}

function settings() {
  const given = {stream: true, model: model.id};
  for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
    if (find(name).value !== "") given[name] = Number(find(name).value);
  }
  return given;
}

function request(text) {
  if (!model.tonsai.takes_turns) return ["/v1/completions", {...settings(), prompt: text}];
  const system = find("system").value.trim();
  const first = system ? [{role: "system", content: system}] : [];
  const messages = [...first, ...turns, {role: "user", content: text}];
  return ["/v1/chat/completions", {...settings(), messages, drop_oldest_turns: true}];
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) throw new Error("the server ended before the reply did");
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      if (part === "data: [DONE]") return;
      yield JSON.parse(part.slice("data: ".length));
    }
  }
}

async function ask(text) {
  const [place, body] = request(text);
  const box = add("assistant", "");
  let written = model.tonsai.takes_turns ? "" : text;
  box.textContent = written;
  running = new AbortController();
  show();
  let dropped = 0;
  try {
    const response = await fetch(place, {
      method: "POST",
      headers: {"content-type": "application/json"},
      body: JSON.stringify(body),
      signal: running.signal,
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of events(response)) {
      dropped = event.dropped_messages ?? 0;
      const choice = event.choices[0];
      written += choice?.delta?.content ?? choice?.text ?? "";
      box.textContent = written;
      if (choice?.finish_reason === "length") add("note", "Cut: no more tokens (Settings).");
    }
  } catch (error) {
    if (error.name === "AbortError") add("note", "Stopped.");
    else {
      box.parentElement.remove();
      add("bad", error.message);
      return;
    }
  } finally {
    running = null;
    show();
  }
  if (dropped) {
    turns = turns.slice(dropped);
    add("note", `The context is full: the oldest ${dropped} messages are forgotten.`);
  }
  turns.push({role: "user", content: text}, {role: "assistant", content: written});
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "copy";
  copy.textContent = "Copy";
  copy.onclick = async () => {
    await navigator.clipboard.writeText(written);
    copy.textContent = "Copied";
  };
  box.parentElement.append(copy);
}

function show() {
  find("send").hidden = running !== null;
  find("stop").hidden = running === null;
}

find("form").onsubmit = (event) => {
  event.preventDefault();
  const text = find("text").value;
  if (running || !text.trim()) return;
  find("text").value = "";
  if (model.tonsai.takes_turns) add("user", text);
  ask(text);
};
find("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    find("form").requestSubmit();
  }
};
find("stop").onclick = () => running?.abort();
find("new").onclick = () => {
  running?.abort();
  turns = [];
  find("talk").replaceChildren();
};

(async () => {
  model = (await (await fetch("/v1/models")).json()).data[0];
  find("model").textContent = document.title = model.id;
  if (!model.tonsai.takes_turns) {
    document.querySelector(".turns").hidden = true;
    add("note", "A base model: it goes on from each text and remembers none.");
  }
})();
