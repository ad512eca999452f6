// Starts the page, and says so on the page when one of its files is missing.
import("./engine.js").catch(() => {}); // main.js reports it
import("./main.js").catch((error) => {
    const words = document.createElement("p");
    words.className = "boot-error";
    words.setAttribute("role", "alert");
    words.textContent = `This page could not start: ${error.message}. Run \`make assets\`: files may be missing.`;
    document.body.prepend(words);
});
