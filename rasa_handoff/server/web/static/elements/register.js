// @ts-check
/** Every element of the desk, by name. */

import { AgentAccount } from "./agent-account.js";
import { AlertButtons } from "./alert-buttons.js";
import { ConnectionBanner } from "./connection-banner.js";
import { ContextPanel } from "./context-panel.js";
import { ChoicesDialog } from "./choices-dialog.js";
import { ColleaguesConversations, FollowUps, MessagesLeft, MyConversations, QueueList } from "./conversation-lists.js";
import { ConversationView } from "./conversation-view.js";
import { FilePreview } from "./file-preview.js";
import { HelpDialog } from "./help-dialog.js";
import { MessageComposer } from "./message-composer.js";
import { PresenceSwitch } from "./presence-switch.js";
import { ResolveDialog } from "./resolve-dialog.js";
import { StoredMedia } from "./stored-media.js";
import { ToastList } from "./toast-list.js";
import { TransferDialog } from "./transfer-dialog.js";
import { WaitClock } from "./wait-clock.js";

customElements.define("wait-clock", WaitClock);
customElements.define("connection-banner", ConnectionBanner);
customElements.define("presence-switch", PresenceSwitch);
customElements.define("alert-buttons", AlertButtons);
customElements.define("agent-account", AgentAccount);
customElements.define("queue-list", QueueList);
customElements.define("my-conversations", MyConversations);
customElements.define("messages-left", MessagesLeft);
customElements.define("follow-ups", FollowUps);
customElements.define("colleagues-conversations", ColleaguesConversations);
customElements.define("stored-media", StoredMedia);
customElements.define("file-preview", FilePreview);
customElements.define("conversation-view", ConversationView);
customElements.define("message-composer", MessageComposer);
customElements.define("context-panel", ContextPanel);
customElements.define("resolve-dialog", ResolveDialog);
customElements.define("transfer-dialog", TransferDialog);
customElements.define("choices-dialog", ChoicesDialog);
customElements.define("help-dialog", HelpDialog);
customElements.define("toast-list", ToastList);
