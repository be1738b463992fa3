"""What a person does: one function per action, with the action's name.

`Project.change` checks the rules and writes the log. Slow work (reading a file, signing) is done before it is entered,
and the rules are then checked again.
"""

from distill_tui.actions.data import *
from distill_tui.actions.decide import *
from distill_tui.actions.drafts import *
from distill_tui.actions.gate import *
from distill_tui.actions.live import *
from distill_tui.actions.people import *
from distill_tui.actions.runs import *
from distill_tui.actions.serving import *
from distill_tui.actions.sign_offs import *
from distill_tui.actions.successor import *
