// The real llama.cpp, through node-llama-cpp: a request and an answer, both JSON files.
// node llama_cpp.mjs PACKAGE_FOLDER REQUEST ANSWER, where REQUEST is
// {"model": path, "ids": [text], "greedy": {"prompt": [id], "tokens": n}, "chat": text, "replyTokens": n}; the
// last four as wanted
import {readFileSync, writeFileSync} from "node:fs";
import {pathToFileURL} from "node:url";

const {getLlama, LlamaChatSession, JinjaTemplateChatWrapper} = await import(
    pathToFileURL(`${process.argv[2]}/dist/index.js`).href
);
const request = JSON.parse(readFileSync(process.argv[3], "utf8"));
const llama = await getLlama({gpu: false, build: "never", logLevel: "disabled", maxThreads: 1});
const vocabOnly = request.greedy == null && request.chat == null;
const model = await llama.loadModel({modelPath: request.model, vocabOnly});
const answer = {bos: model.tokens.bos, eos: model.tokens.eos, eot: model.tokens.eot};
answer.prependsBos = model.tokens.shouldPrependBosToken;
if (request.ids != null) answer.ids = request.ids.map((text) => [...model.tokenize(text, false)]);
if (request.greedy != null) {
    const context = await model.createContext({contextSize: 256, batchSize: 256});
    const written = [];
    for await (const token of context.getSequence().evaluate(request.greedy.prompt, {temperature: 0, yieldEogToken: true})) {
        written.push(token);
        if (written.length === request.greedy.tokens) break;
    }
    answer.greedy = written;
    await context.dispose();
}
if (request.chat != null) {
    answer.chat = {};
    const template = model.fileInfo.metadata.tokenizer.chat_template;
    for (const [name, chatWrapper] of [["auto", "auto"], ["jinja", new JinjaTemplateChatWrapper({template, tokenizer: model.tokenizer})]]) {
        const context = await model.createContext({contextSize: 256, batchSize: 256});
        const session = new LlamaChatSession({contextSequence: context.getSequence(), chatWrapper, systemPrompt: ""});
        await session.prompt(request.chat, {maxTokens: 1, temperature: 0});
        answer.chat[name] = [...session.sequence.contextTokens];
    }
    if (request.replyTokens != null) {
        const context = await model.createContext({contextSize: 256, batchSize: 256});
        const session = new LlamaChatSession({contextSequence: context.getSequence(), chatWrapper: "auto", systemPrompt: ""});
        answer.reply = await session.prompt(request.chat, {maxTokens: request.replyTokens, temperature: 0, trimWhitespaceSuffix: false});
        await context.dispose();
    }
}
writeFileSync(process.argv[4], JSON.stringify(answer));
process.exit(0);
